# The kernel module: not built by `make`, as it is of one kernel each.
#   make module [KERNEL=/lib/modules/VERSION/build]   in shim/module/
#   make install-dkms                                 its source, for DKMS
KERNEL = /lib/modules/`uname -r`/build
shim_sources = shim/Kbuild shim/dkms.conf shim/tierswap_shim.c
dkmsdir = $(prefix)/src/tierswap-shim-$(VERSION)

EXTRA_DIST += $(shim_sources) shim/build-module shim/tierswap_shim.pod
generated_man += shim/tierswap_shim.4

.PHONY: module install-dkms clean-module
module:
	+MAKE="$(MAKE)" $(srcdir)/shim/build-module $(KERNEL) shim/module

install-dkms:
	$(MKDIR_P) $(DESTDIR)$(dkmsdir)
	cd $(srcdir) && $(INSTALL_DATA) $(shim_sources) \
	  include/tierswap_ioctl.h $(DESTDIR)$(dkmsdir)

# The BPF program is in the server, as a header made of it.
if HAVE_BPF
libtierswap_la_CPPFLAGS += -Ishim
server/policy/libtierswap_la-shim-bpf.lo: shim/tierswap_shim.skel.h

shim/tierswap_shim.bpf.o: shim/tierswap_shim.bpf.c include/tierswap_ioctl.h
	$(AM_V_at)$(MKDIR_P) shim
	$(AM_V_GEN)$(BPF_CLANG) -O2 -g -target bpf -mcpu=v3 -Wall -Werror \
	  -I$(srcdir)/include $(BPF_CPPFLAGS) $(LIBBPF_CFLAGS) \
	  -c $(srcdir)/shim/tierswap_shim.bpf.c -o $@

shim/tierswap_shim.skel.h: shim/tierswap_shim.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton shim/tierswap_shim.bpf.o \
	  name tierswap_shim_bpf > $@-t && mv $@-t $@
endif
CLEANFILES += shim/tierswap_shim.bpf.o shim/tierswap_shim.skel.h
EXTRA_DIST += shim/tierswap_shim.bpf.c

clean-local: clean-module
clean-module:
	rm -rf shim/module
