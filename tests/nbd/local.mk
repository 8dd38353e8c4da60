# The plugin seen from outside, through NBD clients.
nbd_programs =
nbd_scripts =
nbd_cppflags = $(AM_CPPFLAGS) $(LIBNBD_CFLAGS)
nbd_ldadd = tests/nbd/libserver.la $(LIBNBD_LIBS)

noinst_LTLIBRARIES += tests/nbd/libserver.la
tests_nbd_libserver_la_SOURCES = tests/nbd/server.c tests/nbd/server.h
tests_nbd_libserver_la_CPPFLAGS = $(nbd_cppflags)

if SANITIZER
noinst_LTLIBRARIES += tests/nbd/sanitizer.la
tests_nbd_sanitizer_la_SOURCES = tests/nbd/sanitizer.c
tests_nbd_sanitizer_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version \
	-shared -rpath $(abs_builddir) -Wl,-z,initfirst
endif
EXTRA_DIST += tests/nbd/sanitizer.c

nbd_programs += tests/nbd/requests
tests_nbd_requests_CPPFLAGS = $(nbd_cppflags)
tests_nbd_requests_LDADD = $(nbd_ldadd)

nbd_programs += tests/nbd/refused-requests
tests_nbd_refused_requests_CPPFLAGS = $(nbd_cppflags)
tests_nbd_refused_requests_LDADD = $(nbd_ldadd)

nbd_programs += tests/nbd/extents
tests_nbd_extents_CPPFLAGS = $(nbd_cppflags)
tests_nbd_extents_LDADD = $(nbd_ldadd)

nbd_programs += tests/nbd/four-connections
tests_nbd_four_connections_CPPFLAGS = $(nbd_cppflags)
tests_nbd_four_connections_LDADD = $(nbd_ldadd)

nbd_programs += tests/nbd/disconnect
tests_nbd_disconnect_CPPFLAGS = $(nbd_cppflags) $(NBDKIT_CFLAGS)
tests_nbd_disconnect_LDADD = $(nbd_ldadd)

nbd_programs += tests/nbd/late-write
tests_nbd_late_write_CPPFLAGS = $(nbd_cppflags)
tests_nbd_late_write_LDADD = $(nbd_ldadd)

nbd_programs += tests/nbd/snapshot
tests_nbd_snapshot_CPPFLAGS = $(nbd_cppflags)
tests_nbd_snapshot_LDADD = $(nbd_ldadd)

nbd_programs += tests/nbd/single
tests_nbd_single_CPPFLAGS = $(nbd_cppflags)
tests_nbd_single_LDADD = $(nbd_ldadd)

# What the scripts write and check pages with.
check_PROGRAMS += tests/nbd/pages
tests_nbd_pages_CPPFLAGS = $(nbd_cppflags)
tests_nbd_pages_LDADD = $(nbd_ldadd)
check_PROGRAMS += tests/nbd/hung-reads
tests_nbd_hung_reads_CPPFLAGS = $(nbd_cppflags)
tests_nbd_hung_reads_LDADD = $(nbd_ldadd)

# Other programs that scripts run: they give a state another format, use the disk
# of the FUSE tree, shake hands, and are clients as no library is.
check_PROGRAMS += tests/nbd/state-format tests/nbd/fuse-requests \
	tests/nbd/handshake tests/nbd/hostile
tests_nbd_state_format_LDADD =
tests_nbd_fuse_requests_LDADD =
tests_nbd_handshake_LDADD = libattach.la
tests_nbd_hostile_LDADD =

nbd_scripts += \
	tests/nbd/attach.sh \
	tests/nbd/background.sh \
	tests/nbd/bad-arguments.sh \
	tests/nbd/checksums.sh \
	tests/nbd/encrypted-backing.sh \
	tests/nbd/control-commands.sh \
	tests/nbd/control-drain.sh \
	tests/nbd/control-reload.sh \
	tests/nbd/completion.sh \
	tests/nbd/exports.sh \
	tests/nbd/failing-backing.sh \
	tests/nbd/filters.sh \
	tests/nbd/fio.sh \
	tests/nbd/full-file-system.sh \
	tests/nbd/fuse-cgroups.sh \
	tests/nbd/fuse-disk.sh \
	tests/nbd/fuse-mount.sh \
	tests/nbd/fuse-swap.sh \
	tests/nbd/fuse-tree.sh \
	tests/nbd/handshake.sh \
	tests/nbd/hostile-clients.sh \
	tests/nbd/hung-backing.sh \
	tests/nbd/install.sh \
	tests/nbd/killed-backing.sh \
	tests/nbd/metrics.sh \
	tests/nbd/slow-backing.sh \
	tests/nbd/state.sh \
	tests/nbd/statistics.sh \
	tests/nbd/swap-option.sh \
	tests/nbd/tls.sh \
	tests/nbd/top.sh \
	tests/nbd/truncated-backing.sh \
	tests/nbd/two-machines.sh \
	tests/nbd/uninstalled.sh \
	tests/nbd/upgrade.sh \
	tests/nbd/other-user.sh \
	tests/nbd/unprivileged.sh

nbd_tests = $(nbd_programs) $(nbd_scripts)
check_PROGRAMS += $(nbd_programs)
TESTS += $(nbd_tests)
EXTRA_DIST += $(nbd_scripts) tests/nbd/control.sh tests/nbd/functions.sh \
	tests/nbd/own-mounts.sh tests/nbd/written-back.sh tests/nbd/fuse.sh

.PHONY: check-nbd
check-nbd:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(nbd_tests)"
