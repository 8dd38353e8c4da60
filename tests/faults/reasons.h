{ "server/policy/shim-bpf.c", NULL, "needs a kernel that lets BPF be loaded" },
