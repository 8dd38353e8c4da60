# The kernel module: not built by `make`, as it is of one kernel each.
#   make module [KERNEL=/lib/modules/VERSION/build]    in shim/ of the build folder
#   make install-dkms                                  its source, for DKMS
KERNEL = /lib/modules/`uname -r`/build
shim_sources = shim/Kbuild shim/dkms.conf shim/tierswap_shim.c
dkmsdir = $(prefix)/src/tierswap-shim-$(VERSION)

EXTRA_DIST += $(shim_sources) shim/tierswap_shim.pod
generated_man += shim/tierswap_shim.4

.PHONY: module install-dkms
module:
	$(AM_V_at)$(MKDIR_P) shim/module
	$(AM_V_at)cp -f $(srcdir)/shim/Kbuild $(srcdir)/shim/tierswap_shim.c \
	  $(srcdir)/include/tierswap_ioctl.h shim/module
	$(MAKE) -C $(KERNEL) M=$(abs_builddir)/shim/module modules

install-dkms:
	$(MKDIR_P) $(DESTDIR)$(dkmsdir)
	cd $(srcdir) && $(INSTALL_DATA) $(shim_sources) \
	  include/tierswap_ioctl.h $(DESTDIR)$(dkmsdir)

clean-local: clean-module
.PHONY: clean-module
clean-module:
	rm -rf shim/module
