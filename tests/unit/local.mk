# Each part of the server alone.  A test is one file of its name, unless more is
# said of it below.
LDADD = tests/unit/libpages.la libtierswap.la $(CMOCKA_LIBS)

noinst_LTLIBRARIES += tests/unit/libpages.la
tests_unit_libpages_la_SOURCES = tests/unit/pages.c tests/unit/pages.h \
	tests/unit/model.c tests/unit/model.h tests/unit/rig.c tests/unit/rig.h \
	tests/unit/far.c tests/unit/far.h tests/unit/rest.c tests/unit/rest.h \
	tests/unit/test.h tests/unit/cgroup-rig.c tests/unit/cgroup-rig.h
EXTRA_DIST += tests/unit/test-backing.h

unit_tests =

# The store.
unit_tests += tests/unit/test-codec tests/unit/test-slots \
	tests/unit/test-frame tests/unit/test-store tests/unit/test-cleaner \
	tests/unit/test-damage tests/unit/test-check \
	tests/unit/test-freed-pages tests/unit/test-core-dump \
	tests/unit/test-race \
	tests/unit/test-model tests/unit/test-model-backed \
	tests/unit/test-model-cgroups

# The state that outlives the process.
unit_tests += tests/unit/test-state-kill tests/unit/test-state \
	tests/unit/test-state-cgroups

# Writeback.
unit_tests += tests/unit/test-writeback tests/unit/test-writeback-order \
	tests/unit/test-writeback-moves tests/unit/test-writeback-hang \
	tests/unit/test-writeback-late \
	tests/unit/test-lost-writes tests/unit/test-group \
	tests/unit/test-demote

# Whose page it is.
unit_tests += tests/unit/test-tags tests/unit/test-cgroups \
	tests/unit/test-cgroups-share tests/unit/test-shim

# The configuration.
unit_tests += tests/unit/test-config tests/unit/test-config-load \
	tests/unit/test-config-memory tests/unit/test-config-mistakes \
	tests/unit/test-config-size tests/unit/test-config-threads

# The backings.
unit_tests += tests/unit/test-backing-extents tests/unit/test-backing-file \
	tests/unit/test-backing-faults tests/unit/test-backing-fallback \
	tests/unit/test-backing-hang tests/unit/test-backing-remote \
	tests/unit/test-backing-cipher

# Control.
unit_tests += tests/unit/test-fuse-names tests/unit/test-protocol \
	tests/unit/test-registry tests/unit/test-control \
	tests/unit/test-changes tests/unit/test-screen

# Late writes, and attaching.
unit_tests += tests/unit/test-fence tests/unit/test-handshake \
	tests/unit/test-attach tests/unit/test-supervise

# Those of other libraries, or with files of the server beside them.
tests_unit_test_fence_SOURCES = tests/unit/test-fence.c plugin/fence.c
tests_unit_test_handshake_LDADD = libattach.la $(CMOCKA_LIBS)
tests_unit_test_attach_LDADD = libattach.la $(CMOCKA_LIBS)
tests_unit_test_supervise_LDADD = libattach.la $(CMOCKA_LIBS)
tests_unit_test_screen_SOURCES = tests/unit/test-screen.c \
	server/control/metrics.c server/control/screen.c
tests_unit_test_screen_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_screen_LDADD = libattach.la $(JANSSON_LIBS) $(CMOCKA_LIBS)

# The examples of the manual and of conf/ are what the server takes.
check_PROGRAMS += tests/unit/parse-config
unit_scripts = tests/unit/test-manual-config.sh

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests) $(unit_scripts)
EXTRA_DIST += $(unit_scripts)

.PHONY: check-unit
check-unit:
	$(MAKE) $(AM_MAKEFLAGS) check \
	  TESTS="$(unit_tests) $(unit_scripts) $(fuzz_programs)"
