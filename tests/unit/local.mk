# Each part of the server alone.
unit_tests =
unit_ldadd = libtierswap.la $(CMOCKA_LIBS)
unit_cppflags = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)

noinst_LTLIBRARIES += tests/unit/libpages.la
tests_unit_libpages_la_SOURCES = tests/unit/pages.c tests/unit/pages.h

unit_tests += tests/unit/test-codec
tests_unit_test_codec_SOURCES = tests/unit/test-codec.c
tests_unit_test_codec_CPPFLAGS = $(unit_cppflags)
tests_unit_test_codec_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-slots
tests_unit_test_slots_SOURCES = tests/unit/test-slots.c
tests_unit_test_slots_CPPFLAGS = $(unit_cppflags)
tests_unit_test_slots_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-frame
tests_unit_test_frame_SOURCES = tests/unit/test-frame.c
tests_unit_test_frame_CPPFLAGS = $(unit_cppflags)
tests_unit_test_frame_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-store
tests_unit_test_store_SOURCES = tests/unit/test-store.c
tests_unit_test_store_CPPFLAGS = $(unit_cppflags)
tests_unit_test_store_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-cleaner
tests_unit_test_cleaner_SOURCES = tests/unit/test-cleaner.c
tests_unit_test_cleaner_CPPFLAGS = $(unit_cppflags)
tests_unit_test_cleaner_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-race
tests_unit_test_race_SOURCES = tests/unit/test-race.c
tests_unit_test_race_CPPFLAGS = $(unit_cppflags)
tests_unit_test_race_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-model
tests_unit_test_model_SOURCES = tests/unit/test-model.c
tests_unit_test_model_CPPFLAGS = $(unit_cppflags)
tests_unit_test_model_LDADD = tests/unit/libpages.la $(unit_ldadd)

# The backings.
unit_tests += tests/unit/test-backing-extents
tests_unit_test_backing_extents_SOURCES = tests/unit/test-backing-extents.c tests/unit/test-backing.h
tests_unit_test_backing_extents_CPPFLAGS = $(unit_cppflags)
tests_unit_test_backing_extents_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-backing-file
tests_unit_test_backing_file_SOURCES = tests/unit/test-backing-file.c tests/unit/test-backing.h
tests_unit_test_backing_file_CPPFLAGS = $(unit_cppflags)
tests_unit_test_backing_file_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-backing-faults
tests_unit_test_backing_faults_SOURCES = tests/unit/test-backing-faults.c tests/unit/test-backing.h
tests_unit_test_backing_faults_CPPFLAGS = $(unit_cppflags)
tests_unit_test_backing_faults_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-backing-fallback
tests_unit_test_backing_fallback_SOURCES = tests/unit/test-backing-fallback.c tests/unit/test-backing.h
tests_unit_test_backing_fallback_CPPFLAGS = $(unit_cppflags)
tests_unit_test_backing_fallback_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-backing-hang
tests_unit_test_backing_hang_SOURCES = tests/unit/test-backing-hang.c tests/unit/test-backing.h
tests_unit_test_backing_hang_CPPFLAGS = $(unit_cppflags)
tests_unit_test_backing_hang_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-backing-remote
tests_unit_test_backing_remote_SOURCES = tests/unit/test-backing-remote.c tests/unit/test-backing.h
tests_unit_test_backing_remote_CPPFLAGS = $(unit_cppflags)
tests_unit_test_backing_remote_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-backing-cipher
tests_unit_test_backing_cipher_SOURCES = tests/unit/test-backing-cipher.c tests/unit/test-backing.h
tests_unit_test_backing_cipher_CPPFLAGS = $(unit_cppflags)
tests_unit_test_backing_cipher_LDADD = $(unit_ldadd)

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

.PHONY: check-unit
check-unit:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(unit_tests)"
