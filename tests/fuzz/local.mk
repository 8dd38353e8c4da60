# Fuzzing.  Each target is run in every check, for some seconds, by a driver of
# our own.  With clang's libFuzzer "make fuzz" runs each FUZZ_SECONDS.
fuzz_names = config protocol object requests state tags
fuzz_programs = tests/fuzz/replay-config tests/fuzz/replay-protocol \
	tests/fuzz/replay-object tests/fuzz/replay-requests \
	tests/fuzz/replay-state tests/fuzz/replay-tags
noinst_LTLIBRARIES += tests/fuzz/libdriver.la
tests_fuzz_libdriver_la_SOURCES = tests/fuzz/driver.c
tests_fuzz_libdriver_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
fuzz_cppflags = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) -I$(srcdir)/tests/unit
fuzz_ldadd = tests/fuzz/libdriver.la tests/unit/libpages.la libtierswap.la \
	$(CMOCKA_LIBS)
tests_fuzz_replay_config_SOURCES = tests/fuzz/fuzz-config.c
tests_fuzz_replay_config_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_config_LDADD = $(fuzz_ldadd)
tests_fuzz_replay_protocol_SOURCES = tests/fuzz/fuzz-protocol.c
tests_fuzz_replay_protocol_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_protocol_LDADD = $(fuzz_ldadd)
tests_fuzz_replay_object_SOURCES = tests/fuzz/fuzz-object.c
tests_fuzz_replay_object_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_object_LDADD = $(fuzz_ldadd)
tests_fuzz_replay_requests_SOURCES = tests/fuzz/fuzz-requests.c
tests_fuzz_replay_requests_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_requests_LDADD = $(fuzz_ldadd)
tests_fuzz_replay_state_SOURCES = tests/fuzz/fuzz-state.c
tests_fuzz_replay_state_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_state_LDADD = $(fuzz_ldadd)
tests_fuzz_replay_tags_SOURCES = tests/fuzz/fuzz-tags.c
tests_fuzz_replay_tags_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_tags_LDADD = $(fuzz_ldadd)
check_PROGRAMS += $(fuzz_programs)
TESTS += $(fuzz_programs)
EXTRA_DIST += tests/fuzz/config.dict tests/fuzz/protocol.dict \
	tests/fuzz/README.md tests/fuzz/corpus

# The same programs and the server as libFuzzer wants them, in a build folder of
# their own.  Its main stands before that of the driver, which is not linked then.
FUZZ_CC = clang
FUZZ_CFLAGS = -g -O1 -fno-sanitize-recover=all \
	-fsanitize=fuzzer-no-link,address,undefined
FUZZ_SECONDS = 60
fuzz_build = tests/fuzz/libfuzzer
$(fuzz_build)/Makefile:
	$(MKDIR_P) $(@D)
	cd $(@D) && $(abs_srcdir)/configure CC="$(FUZZ_CC)" \
	  CFLAGS="$(FUZZ_CFLAGS)" > configure.log

.PHONY: fuzz-targets
fuzz-targets: $(fuzz_build)/Makefile
	cd $(fuzz_build) && $(MAKE) $(fuzz_programs) LDFLAGS=-fsanitize=fuzzer
	for name in $(fuzz_names); do \
	  cp $(fuzz_build)/tests/fuzz/replay-$$name tests/fuzz/fuzz-$$name \
	    || exit 1; \
	done

# What is found new is kept in the build folder.
.PHONY: fuzz
fuzz: fuzz-targets
	for name in $(fuzz_names); do \
	  dict=$(srcdir)/tests/fuzz/$$name.dict; \
	  $(MKDIR_P) tests/fuzz/new/$$name || exit 1; \
	  tests/fuzz/fuzz-$$name -max_total_time=$(FUZZ_SECONDS) -max_len=8192 \
	    $$(test -e $$dict && echo -dict=$$dict) tests/fuzz/new/$$name \
	    $(srcdir)/tests/fuzz/corpus/$$name || exit 1; \
	done
clean-local: clean-fuzz
clean-fuzz:
	rm -rf tests/fuzz/new $(fuzz_build) $(fuzz_names:%=tests/fuzz/fuzz-%)
.PHONY: clean-fuzz
