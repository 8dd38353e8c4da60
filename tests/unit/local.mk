# Each part of the server alone.
unit_tests =
unit_scripts =
unit_ldadd = libtierswap.la $(CMOCKA_LIBS)
unit_cppflags = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)

noinst_LTLIBRARIES += tests/unit/libpages.la
tests_unit_libpages_la_SOURCES = tests/unit/pages.c tests/unit/pages.h \
	tests/unit/model.c tests/unit/model.h tests/unit/rig.c tests/unit/rig.h \
	tests/unit/test.h tests/unit/cgroup-rig.c tests/unit/cgroup-rig.h

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

unit_tests += tests/unit/test-damage
tests_unit_test_damage_SOURCES = tests/unit/test-damage.c
tests_unit_test_damage_CPPFLAGS = $(unit_cppflags)
tests_unit_test_damage_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-check
tests_unit_test_check_SOURCES = tests/unit/test-check.c
tests_unit_test_check_CPPFLAGS = $(unit_cppflags)
tests_unit_test_check_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-freed-pages
tests_unit_test_freed_pages_SOURCES = tests/unit/test-freed-pages.c
tests_unit_test_freed_pages_CPPFLAGS = $(unit_cppflags)
tests_unit_test_freed_pages_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-core-dump
tests_unit_test_core_dump_SOURCES = tests/unit/test-core-dump.c
tests_unit_test_core_dump_CPPFLAGS = $(unit_cppflags)
tests_unit_test_core_dump_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-race
tests_unit_test_race_SOURCES = tests/unit/test-race.c
tests_unit_test_race_CPPFLAGS = $(unit_cppflags)
tests_unit_test_race_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-model
tests_unit_test_model_SOURCES = tests/unit/test-model.c
tests_unit_test_model_CPPFLAGS = $(unit_cppflags)
tests_unit_test_model_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-model-backed
tests_unit_test_model_backed_SOURCES = tests/unit/test-model-backed.c
tests_unit_test_model_backed_CPPFLAGS = $(unit_cppflags)
tests_unit_test_model_backed_LDADD = tests/unit/libpages.la $(unit_ldadd)

# The state that outlives the process.
unit_tests += tests/unit/test-state-kill
tests_unit_test_state_kill_SOURCES = tests/unit/test-state-kill.c
tests_unit_test_state_kill_CPPFLAGS = $(unit_cppflags)
tests_unit_test_state_kill_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-state
tests_unit_test_state_SOURCES = tests/unit/test-state.c
tests_unit_test_state_CPPFLAGS = $(unit_cppflags)
tests_unit_test_state_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-state-cgroups
tests_unit_test_state_cgroups_SOURCES = tests/unit/test-state-cgroups.c
tests_unit_test_state_cgroups_CPPFLAGS = $(unit_cppflags)
tests_unit_test_state_cgroups_LDADD = tests/unit/libpages.la $(unit_ldadd)

# Writeback.
unit_tests += tests/unit/test-writeback
tests_unit_test_writeback_SOURCES = tests/unit/test-writeback.c
tests_unit_test_writeback_CPPFLAGS = $(unit_cppflags)
tests_unit_test_writeback_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-writeback-order
tests_unit_test_writeback_order_SOURCES = tests/unit/test-writeback-order.c
tests_unit_test_writeback_order_CPPFLAGS = $(unit_cppflags)
tests_unit_test_writeback_order_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-writeback-moves
tests_unit_test_writeback_moves_SOURCES = tests/unit/test-writeback-moves.c
tests_unit_test_writeback_moves_CPPFLAGS = $(unit_cppflags)
tests_unit_test_writeback_moves_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-lost-writes
tests_unit_test_lost_writes_SOURCES = tests/unit/test-lost-writes.c
tests_unit_test_lost_writes_CPPFLAGS = $(unit_cppflags)
tests_unit_test_lost_writes_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-group
tests_unit_test_group_SOURCES = tests/unit/test-group.c
tests_unit_test_group_CPPFLAGS = $(unit_cppflags)
tests_unit_test_group_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-writeback-hang
tests_unit_test_writeback_hang_SOURCES = tests/unit/test-writeback-hang.c
tests_unit_test_writeback_hang_CPPFLAGS = $(unit_cppflags)
tests_unit_test_writeback_hang_LDADD = tests/unit/libpages.la $(unit_ldadd)


# Whose page it is.
unit_tests += tests/unit/test-tags
tests_unit_test_tags_SOURCES = tests/unit/test-tags.c
tests_unit_test_tags_CPPFLAGS = $(unit_cppflags)
tests_unit_test_tags_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-cgroups
tests_unit_test_cgroups_SOURCES = tests/unit/test-cgroups.c
tests_unit_test_cgroups_CPPFLAGS = $(unit_cppflags)
tests_unit_test_cgroups_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-cgroups-share
tests_unit_test_cgroups_share_SOURCES = tests/unit/test-cgroups-share.c
tests_unit_test_cgroups_share_CPPFLAGS = $(unit_cppflags)
tests_unit_test_cgroups_share_LDADD = tests/unit/libpages.la $(unit_ldadd)

unit_tests += tests/unit/test-shim
tests_unit_test_shim_SOURCES = tests/unit/test-shim.c
tests_unit_test_shim_CPPFLAGS = $(unit_cppflags)
tests_unit_test_shim_LDADD = $(unit_ldadd)

# The configuration.
unit_tests += tests/unit/test-config
tests_unit_test_config_SOURCES = tests/unit/test-config.c
tests_unit_test_config_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-config-load
tests_unit_test_config_load_SOURCES = tests/unit/test-config-load.c
tests_unit_test_config_load_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_load_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-config-memory
tests_unit_test_config_memory_SOURCES = tests/unit/test-config-memory.c
tests_unit_test_config_memory_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_memory_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-config-mistakes
tests_unit_test_config_mistakes_SOURCES = tests/unit/test-config-mistakes.c
tests_unit_test_config_mistakes_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_mistakes_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-config-size
tests_unit_test_config_size_SOURCES = tests/unit/test-config-size.c
tests_unit_test_config_size_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_size_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-config-threads
tests_unit_test_config_threads_SOURCES = tests/unit/test-config-threads.c
tests_unit_test_config_threads_CPPFLAGS = $(unit_cppflags)
tests_unit_test_config_threads_LDADD = $(unit_ldadd)

# The examples of the manual and of conf/ are what the server takes.
check_PROGRAMS += tests/unit/parse-config
tests_unit_parse_config_SOURCES = tests/unit/parse-config.c
tests_unit_parse_config_LDADD = libtierswap.la
unit_scripts += tests/unit/test-manual-config.sh

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

# Control.
unit_tests += tests/unit/test-fuse-names
tests_unit_test_fuse_names_SOURCES = tests/unit/test-fuse-names.c
tests_unit_test_fuse_names_CPPFLAGS = $(unit_cppflags)
tests_unit_test_fuse_names_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-protocol
tests_unit_test_protocol_SOURCES = tests/unit/test-protocol.c
tests_unit_test_protocol_CPPFLAGS = $(unit_cppflags)
tests_unit_test_protocol_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-registry
tests_unit_test_registry_SOURCES = tests/unit/test-registry.c
tests_unit_test_registry_CPPFLAGS = $(unit_cppflags)
tests_unit_test_registry_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-control
tests_unit_test_control_SOURCES = tests/unit/test-control.c
tests_unit_test_control_CPPFLAGS = $(unit_cppflags)
tests_unit_test_control_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-changes
tests_unit_test_changes_SOURCES = tests/unit/test-changes.c
tests_unit_test_changes_CPPFLAGS = $(unit_cppflags)
tests_unit_test_changes_LDADD = tests/unit/libpages.la $(unit_ldadd)

# Attaching.
unit_tests += tests/unit/test-handshake
tests_unit_test_handshake_SOURCES = tests/unit/test-handshake.c
tests_unit_test_handshake_CPPFLAGS = $(unit_cppflags)
tests_unit_test_handshake_LDADD = libattach.la $(CMOCKA_LIBS)

unit_tests += tests/unit/test-attach
tests_unit_test_attach_SOURCES = tests/unit/test-attach.c
tests_unit_test_attach_CPPFLAGS = $(unit_cppflags)
tests_unit_test_attach_LDADD = libattach.la $(CMOCKA_LIBS)

# The screens of tierswapctl.
unit_tests += tests/unit/test-screen
tests_unit_test_screen_SOURCES = tests/unit/test-screen.c \
	server/control/metrics.c server/control/screen.c
tests_unit_test_screen_CPPFLAGS = $(unit_cppflags) $(JANSSON_CFLAGS)
tests_unit_test_screen_LDADD = libattach.la $(JANSSON_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests) $(unit_scripts)
EXTRA_DIST += $(unit_scripts)

.PHONY: check-unit
check-unit:
	$(MAKE) $(AM_MAKEFLAGS) check \
	  TESTS="$(unit_tests) $(unit_scripts) $(fuzz_programs)"
