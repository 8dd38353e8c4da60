# Fuzzing.  Each target is run in every check, for some seconds, by a driver of
# our own.  With clang's libFuzzer "make fuzz" runs each FUZZ_SECONDS.
fuzz_programs = tests/fuzz/replay-config tests/fuzz/replay-protocol \
	tests/fuzz/replay-object tests/fuzz/replay-requests \
	tests/fuzz/replay-state tests/fuzz/replay-tags
fuzz_driver = tests/fuzz/driver.c
fuzz_cppflags = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) -I$(srcdir)/tests/unit
fuzz_ldadd = tests/unit/libpages.la libtierswap.la $(CMOCKA_LIBS)
tests_fuzz_replay_config_SOURCES = tests/fuzz/fuzz-config.c $(fuzz_driver)
tests_fuzz_replay_config_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_config_LDADD = $(fuzz_ldadd)
tests_fuzz_replay_protocol_SOURCES = tests/fuzz/fuzz-protocol.c $(fuzz_driver)
tests_fuzz_replay_protocol_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_protocol_LDADD = $(fuzz_ldadd)
tests_fuzz_replay_object_SOURCES = tests/fuzz/fuzz-object.c $(fuzz_driver)
tests_fuzz_replay_object_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_object_LDADD = $(fuzz_ldadd)
tests_fuzz_replay_requests_SOURCES = tests/fuzz/fuzz-requests.c $(fuzz_driver)
tests_fuzz_replay_requests_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_requests_LDADD = $(fuzz_ldadd)
tests_fuzz_replay_state_SOURCES = tests/fuzz/fuzz-state.c $(fuzz_driver)
tests_fuzz_replay_state_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_state_LDADD = $(fuzz_ldadd)
tests_fuzz_replay_tags_SOURCES = tests/fuzz/fuzz-tags.c $(fuzz_driver)
tests_fuzz_replay_tags_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_replay_tags_LDADD = $(fuzz_ldadd)
check_PROGRAMS += $(fuzz_programs)
TESTS += $(fuzz_programs)

FUZZ_CC = clang
FUZZ_CFLAGS = -std=gnu11 -g -O1 -fno-sanitize-recover=all \
	-fsanitize=fuzzer,address,undefined
FUZZ_SECONDS = 60
fuzz_targets = tests/fuzz/fuzz-config tests/fuzz/fuzz-protocol \
	tests/fuzz/fuzz-object tests/fuzz/fuzz-requests \
	tests/fuzz/fuzz-state tests/fuzz/fuzz-tags
EXTRA_DIST += tests/fuzz/config.dict tests/fuzz/protocol.dict \
	tests/fuzz/README.md tests/fuzz/corpus
CLEANFILES += $(fuzz_targets)

fuzz_config_sources = \
	$(srcdir)/tests/fuzz/fuzz-config.c \
	$(srcdir)/server/store/codec.c \
	$(srcdir)/server/policy/config.c \
	$(srcdir)/server/policy/config-cgroup.c \
	$(srcdir)/server/policy/config-check.c \
	$(srcdir)/server/policy/config-grammar.c \
	$(srcdir)/server/policy/config-memory.c \
	$(srcdir)/server/policy/config-report.c \
	$(srcdir)/server/policy/config-size.c \
	$(srcdir)/server/policy/config-text.c \
	$(srcdir)/server/policy/config-value.c
tests/fuzz/fuzz-config: $(fuzz_config_sources)
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_CCLD)$(FUZZ_CC) $(FUZZ_CFLAGS) $(DEFS) $(DEFAULT_INCLUDES) \
	  $(AM_CPPFLAGS) $(CONFUSE_CFLAGS) -o $@ $(fuzz_config_sources) \
	  $(CONFUSE_LIBS) $(ZSTD_LIBS) $(LZ4_LIBS) -pthread

fuzz_protocol_sources = \
	$(srcdir)/tests/fuzz/fuzz-protocol.c \
	$(srcdir)/server/control/protocol.c \
	$(srcdir)/server/control/usage.c
tests/fuzz/fuzz-protocol: $(fuzz_protocol_sources)
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_CCLD)$(FUZZ_CC) $(FUZZ_CFLAGS) $(DEFS) $(DEFAULT_INCLUDES) \
	  $(AM_CPPFLAGS) $(JANSSON_CFLAGS) -o $@ $(fuzz_protocol_sources) \
	  $(JANSSON_LIBS)

fuzz_object_sources = \
	$(srcdir)/tests/fuzz/fuzz-object.c \
	$(srcdir)/server/store/codec.c \
	$(srcdir)/server/store/object.c
tests/fuzz/fuzz-object: $(fuzz_object_sources)
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_CCLD)$(FUZZ_CC) $(FUZZ_CFLAGS) $(DEFS) $(DEFAULT_INCLUDES) \
	  $(AM_CPPFLAGS) -o $@ $(fuzz_object_sources) $(ZSTD_LIBS) $(LZ4_LIBS) \
	  -pthread

# The store and what is below it; and with the writeback thread.
fuzz_store_sources = \
	$(srcdir)/server/common/*.c \
	$(srcdir)/server/backing/*.c \
	$(srcdir)/server/store/*.c
fuzz_writeback_sources = $(fuzz_store_sources) \
	$(srcdir)/server/policy/backings.c \
	$(srcdir)/server/policy/writeback.c \
	$(srcdir)/server/policy/pass.c \
	$(srcdir)/server/policy/relief.c \
	$(srcdir)/server/policy/drain.c \
	$(srcdir)/server/policy/cgroups.c \
	$(srcdir)/server/policy/cgroup-rules.c \
	$(srcdir)/server/policy/cgroup-table.c \
	$(srcdir)/server/policy/cgroup-tree.c

fuzz_requests_sources = \
	$(srcdir)/tests/fuzz/fuzz-requests.c \
	$(fuzz_store_sources)
tests/fuzz/fuzz-requests: $(srcdir)/tests/fuzz/fuzz-requests.c
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_CCLD)$(FUZZ_CC) $(FUZZ_CFLAGS) $(DEFS) $(DEFAULT_INCLUDES) \
	  $(AM_CPPFLAGS) -o $@ $(fuzz_requests_sources) $(ZSTD_LIBS) \
	  $(LZ4_LIBS) $(URING_LIBS) $(LIBNBD_LIBS) $(CRYPTO_LIBS) -pthread

fuzz_state_sources = \
	$(srcdir)/tests/fuzz/fuzz-state.c \
	$(srcdir)/tests/unit/pages.c \
	$(fuzz_writeback_sources)
tests/fuzz/fuzz-state: $(srcdir)/tests/fuzz/fuzz-state.c
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_CCLD)$(FUZZ_CC) $(FUZZ_CFLAGS) $(DEFS) $(DEFAULT_INCLUDES) \
	  $(AM_CPPFLAGS) -I$(srcdir)/tests/unit -o $@ $(fuzz_state_sources) \
	  $(ZSTD_LIBS) $(LZ4_LIBS) $(URING_LIBS) $(LIBNBD_LIBS) $(CRYPTO_LIBS) \
	  -pthread

fuzz_tags_sources = \
	$(srcdir)/tests/fuzz/fuzz-tags.c \
	$(fuzz_writeback_sources) \
	$(srcdir)/server/policy/write.c \
	$(srcdir)/server/policy/shim.c \
	$(srcdir)/server/policy/shim-bpf.c \
	$(srcdir)/server/policy/shim-module.c \
	$(srcdir)/server/policy/tags.c
if HAVE_BPF
fuzz_tags_skeleton = shim/tierswap_shim.skel.h
endif
tests/fuzz/fuzz-tags: $(srcdir)/tests/fuzz/fuzz-tags.c $(fuzz_tags_skeleton)
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_CCLD)$(FUZZ_CC) $(FUZZ_CFLAGS) $(DEFS) $(DEFAULT_INCLUDES) \
	  $(AM_CPPFLAGS) -Ishim -o $@ $(fuzz_tags_sources) $(ZSTD_LIBS) \
	  $(LZ4_LIBS) $(URING_LIBS) $(LIBNBD_LIBS) $(CRYPTO_LIBS) \
	  $(LIBBPF_LIBS) -pthread

# What is found new is kept in the build folder.
.PHONY: fuzz
fuzz: $(fuzz_targets)
	for name in config protocol object requests state tags; do \
	  dict=$(srcdir)/tests/fuzz/$$name.dict; \
	  $(MKDIR_P) tests/fuzz/new/$$name || exit 1; \
	  tests/fuzz/fuzz-$$name -max_total_time=$(FUZZ_SECONDS) -max_len=8192 \
	    $$(test -e $$dict && echo -dict=$$dict) tests/fuzz/new/$$name \
	    $(srcdir)/tests/fuzz/corpus/$$name || exit 1; \
	done
clean-local: clean-fuzz
clean-fuzz:
	rm -rf tests/fuzz/new
.PHONY: clean-fuzz
