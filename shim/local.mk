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

clean-local: clean-module
clean-module:
	rm -rf shim/module
