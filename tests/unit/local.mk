# Each unit test is one program or script that can be run alone.
unit_tests =
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests) $(unit_scripts)
unit_scripts =
EXTRA_DIST += $(unit_scripts)
unit_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
unit_ldadd = libtierswap.la $(CMOCKA_LIBS)

# The configuration.
unit_tests += \
	tests/unit/test-config \
	tests/unit/test-config-load \
	tests/unit/test-config-memory \
	tests/unit/test-config-mistakes \
	tests/unit/test-config-size \
	tests/unit/test-config-threads
tests_unit_test_config_SOURCES = tests/unit/test-config.c
tests_unit_test_config_CFLAGS = $(unit_cflags)
tests_unit_test_config_LDADD = $(unit_ldadd)
tests_unit_test_config_load_SOURCES = tests/unit/test-config-load.c
tests_unit_test_config_load_CFLAGS = $(unit_cflags)
tests_unit_test_config_load_LDADD = $(unit_ldadd)
tests_unit_test_config_memory_SOURCES = tests/unit/test-config-memory.c
tests_unit_test_config_memory_CFLAGS = $(unit_cflags)
tests_unit_test_config_memory_LDADD = $(unit_ldadd)
tests_unit_test_config_mistakes_SOURCES = tests/unit/test-config-mistakes.c
tests_unit_test_config_mistakes_CFLAGS = $(unit_cflags)
tests_unit_test_config_mistakes_LDADD = $(unit_ldadd)
tests_unit_test_config_size_SOURCES = tests/unit/test-config-size.c
tests_unit_test_config_size_CFLAGS = $(unit_cflags)
tests_unit_test_config_size_LDADD = $(unit_ldadd)
tests_unit_test_config_threads_SOURCES = tests/unit/test-config-threads.c
tests_unit_test_config_threads_CFLAGS = $(unit_cflags)
tests_unit_test_config_threads_LDADD = $(unit_ldadd)

# Whether the examples of the manual and of conf/ are what the server takes.
check_PROGRAMS += tests/unit/parse-config
tests_unit_parse_config_SOURCES = tests/unit/parse-config.c
tests_unit_parse_config_LDADD = libtierswap.la
unit_scripts += tests/unit/test-manual-config.sh
