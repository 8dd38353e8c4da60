# The kernel module, as far as it can be tested without loading it.
shim_tests = tests/shim/header.sh tests/shim/module.sh tests/shim/bpf.sh
TESTS += $(shim_tests)
EXTRA_DIST += $(shim_tests)

.PHONY: check-shim
check-shim:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(shim_tests)"
