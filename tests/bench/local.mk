# Raw speed of one backing, to hold beside fio.
noinst_PROGRAMS += tests/bench/backing-io
tests_bench_backing_io_SOURCES = tests/bench/backing-io.c
tests_bench_backing_io_LDADD = libtierswap.la
