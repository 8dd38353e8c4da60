# Raw speed of one backing, to hold beside fio.
noinst_PROGRAMS += tests/bench/backing-io
tests_bench_backing_io_SOURCES = tests/bench/backing-io.c
tests_bench_backing_io_LDADD = libtierswap.la
# What it costs, beside what it is measured against: see README.md here.
noinst_LTLIBRARIES += libfigures.la
libfigures_la_SOURCES = tests/bench/figures.c tests/bench/figures.h

noinst_PROGRAMS += capture-pages bench-store bench-memory bench-group \
	bench-writeback bench-pick bench-hold bench-recover bench-tag nbd-load \
	swap-load cgroup-load

capture_pages_SOURCES = tests/bench/capture-pages.c
capture_pages_CFLAGS = $(AM_CFLAGS) $(XXHASH_CFLAGS)
capture_pages_LDADD = $(XXHASH_LIBS)

bench_store_SOURCES = tests/bench/bench-store.c
bench_store_CFLAGS = $(AM_CFLAGS) $(LZ4_CFLAGS) $(ZSTD_CFLAGS)
bench_store_LDADD = libfigures.la libtierswap.la $(LZ4_LIBS) $(ZSTD_LIBS)

bench_memory_SOURCES = tests/bench/bench-memory.c
bench_memory_LDADD = libfigures.la libtierswap.la

bench_group_SOURCES = tests/bench/bench-group.c
bench_group_LDADD = libfigures.la libtierswap.la

bench_writeback_SOURCES = tests/bench/bench-writeback.c
bench_writeback_CFLAGS = $(AM_CFLAGS) $(LIBURING_CFLAGS)
bench_writeback_LDADD = libfigures.la libtierswap.la $(LIBURING_LIBS)

bench_pick_SOURCES = tests/bench/bench-pick.c
bench_pick_LDADD = libfigures.la libtierswap.la

bench_hold_SOURCES = tests/bench/bench-hold.c
bench_hold_LDADD = libfigures.la libtierswap.la

bench_recover_SOURCES = tests/bench/bench-recover.c
bench_recover_LDADD = libfigures.la libtierswap.la

bench_tag_SOURCES = tests/bench/bench-tag.c
bench_tag_LDADD = libfigures.la libtierswap.la

nbd_load_SOURCES = tests/bench/nbd-load.c
nbd_load_CFLAGS = $(AM_CFLAGS) $(LIBNBD_CFLAGS)
nbd_load_LDADD = libfigures.la $(LIBNBD_LIBS)

swap_load_SOURCES = tests/bench/swap-load.c
swap_load_LDADD = libfigures.la

cgroup_load_SOURCES = tests/bench/cgroup-load.c
cgroup_load_LDADD = libfigures.la

EXTRA_DIST += \
	tests/bench/README.md \
	tests/bench/bench.sh \
	tests/bench/bench-memory.sh \
	tests/bench/bench-nbd.sh \
	tests/bench/bench-writeback.sh \
	tests/bench/bench-pick.sh \
	tests/bench/bench-recover.sh \
	tests/bench/bench-hold.sh \
	tests/bench/bench-tag.sh \
	tests/bench/bench-status.sh \
	tests/bench/bench-fuse.sh \
	tests/bench/hold-in-guest.sh \
	tests/bench/capture-pages.sh

# The captured pages stay in the build folder, so that runs there compare.
CLEANFILES += bench-pages bench-pages.txt

# SECTIONS="store memory" chooses; none is all.
.PHONY: bench
bench: all
	@srcdir=$(abs_srcdir) builddir=$(abs_builddir) SANITIZER=$(SANITIZER) \
	  $(abs_srcdir)/tests/bench/bench.sh $(SECTIONS)
