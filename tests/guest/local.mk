# Tests under other kernels: the stock one and User-mode Linux.
noinst_PROGRAMS += tests/guest/touch-pages
tests_guest_touch_pages_SOURCES = tests/guest/touch-pages.c
