# Tests under other kernels, each on User-mode Linux and on the stock one.
noinst_PROGRAMS += tests/guest/touch-pages tests/guest/device-pages
tests_guest_touch_pages_LDADD =
tests_guest_device_pages_LDADD =

# What a server does with the kernel module.
noinst_PROGRAMS += tests/guest/shim-reader
tests_guest_shim_reader_LDADD = libtierswap.la

guest_tests = \
	tests/guest/test-attach-uml.sh \
	tests/guest/test-swap-uml.sh \
	tests/guest/test-swapoff-uml.sh \
	tests/guest/test-discard-uml.sh \
	tests/guest/test-zero-free-uml.sh \
	tests/guest/test-cgroups-uml.sh \
	tests/guest/test-writeback-uml.sh \
	tests/guest/test-full-uml.sh \
	tests/guest/test-killed-backing-uml.sh \
	tests/guest/test-faulty-device-uml.sh \
	tests/guest/test-power-cut-uml.sh \
	tests/guest/test-soak-uml.sh \
	tests/guest/test-service-uml.sh \
	tests/guest/test-restart-uml.sh \
	tests/guest/test-upgrade-uml.sh \
	tests/guest/test-supervisor-uml.sh \
	tests/guest/test-swap-qemu.sh \
	tests/guest/test-swapoff-qemu.sh \
	tests/guest/test-discard-qemu.sh \
	tests/guest/test-zero-free-qemu.sh \
	tests/guest/test-shim-qemu.sh \
	tests/guest/test-cgroups-qemu.sh \
	tests/guest/test-cgroups-bpf-qemu.sh \
	tests/guest/test-faulty-device-qemu.sh
TESTS += $(guest_tests)

# What shows little more than on User-mode Linux and takes minutes on an emulated
# CPU: by hand, with `make check-guest-long`.
long_guest_tests = \
	tests/guest/test-writeback-qemu.sh \
	tests/guest/test-killed-backing-qemu.sh \
	tests/guest/test-restart-qemu.sh \
	tests/guest/test-power-cut-qemu.sh \
	tests/guest/test-service-qemu.sh
EXTRA_DIST += $(guest_tests) $(long_guest_tests) \
	tests/guest/attach.sh \
	tests/guest/cgroups-unit.sh \
	tests/guest/cgroups.sh \
	tests/guest/demo.sh \
	tests/guest/discard.sh \
	tests/guest/faulty-device.sh \
	tests/guest/full.sh \
	tests/guest/functions.sh \
	tests/guest/init \
	tests/guest/killed-backing.sh \
	tests/guest/power-cut.sh \
	tests/guest/restart.sh \
	tests/guest/ask-uml \
	tests/guest/run-guest \
	tests/guest/service.sh \
	tests/guest/shim.sh \
	tests/guest/soak.sh \
	tests/guest/swap.sh \
	tests/guest/swapoff.sh \
	tests/guest/supervised.sh \
	tests/guest/supervisor.sh \
	tests/guest/upgrade.sh \
	tests/guest/test-soak-qemu.sh \
	tests/guest/with-module.sh \
	tests/guest/writeback.sh \
	tests/guest/zero-free-and-control.sh \
	tests/guest/zero-free.sh

.PHONY: check-guest
check-guest:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(guest_tests)"

.PHONY: check-guest-long
check-guest-long: all
	@$(AM_TESTS_ENVIRONMENT) \
	export SOAK_SECONDS="$${SOAK_SECONDS:-3600}" TEST_LIMIT=9000; \
	for test in $(long_guest_tests) tests/guest/test-soak-uml.sh; do \
	  echo "== $$test"; $(LOG_COMPILER) $(srcdir)/$$test || exit; done
