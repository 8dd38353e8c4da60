# Fuzzing, with clang's libFuzzer: "make fuzz" runs each target FUZZ_SECONDS.
FUZZ_CC = clang
FUZZ_CFLAGS = -std=gnu11 -g -O1 -fno-sanitize-recover=all \
	-fsanitize=fuzzer,address,undefined
FUZZ_SECONDS = 60
fuzz_targets = tests/fuzz/fuzz-config tests/fuzz/fuzz-protocol
EXTRA_DIST += tests/fuzz/fuzz-config.c tests/fuzz/config.dict \
	tests/fuzz/fuzz-protocol.c tests/fuzz/protocol.dict
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

# What is found new is kept in the build folder.
.PHONY: fuzz
fuzz: $(fuzz_targets)
	$(MKDIR_P) tests/fuzz/corpus-config
	cp $(srcdir)/conf/tierswap.conf tests/fuzz/corpus-config/
	tests/fuzz/fuzz-config -max_total_time=$(FUZZ_SECONDS) -max_len=4096 \
	  -dict=$(srcdir)/tests/fuzz/config.dict tests/fuzz/corpus-config
	$(MKDIR_P) tests/fuzz/corpus-protocol
	tests/fuzz/fuzz-protocol -max_total_time=$(FUZZ_SECONDS) -max_len=4096 \
	  -dict=$(srcdir)/tests/fuzz/protocol.dict tests/fuzz/corpus-protocol
clean-local: clean-fuzz
clean-fuzz:
	rm -rf tests/fuzz/corpus-config tests/fuzz/corpus-protocol
.PHONY: clean-fuzz
