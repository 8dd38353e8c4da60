# Tests under other kernels, each on User-mode Linux and on the stock one.
noinst_PROGRAMS += tests/guest/touch-pages
tests_guest_touch_pages_SOURCES = tests/guest/touch-pages.c

guest_tests = \
	tests/guest/test-swap-uml.sh \
	tests/guest/test-swapoff-uml.sh \
	tests/guest/test-discard-uml.sh \
	tests/guest/test-zero-free-uml.sh \
	tests/guest/test-swap-qemu.sh \
	tests/guest/test-swapoff-qemu.sh \
	tests/guest/test-discard-qemu.sh \
	tests/guest/test-zero-free-qemu.sh
TESTS += $(guest_tests)

EXTRA_DIST += $(guest_tests) \
	tests/guest/demo.sh \
	tests/guest/discard.sh \
	tests/guest/functions.sh \
	tests/guest/init \
	tests/guest/run-guest \
	tests/guest/swap.sh \
	tests/guest/swapoff.sh \
	tests/guest/zero-free-and-control.sh \
	tests/guest/zero-free.sh

.PHONY: check-guest
check-guest:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(guest_tests)"
