# The swap-aware layer: a library that knows nothing of NBD.
noinst_LTLIBRARIES += libtierswap.la
libtierswap_la_SOURCES =
libtierswap_la_CPPFLAGS = $(AM_CPPFLAGS)
libtierswap_la_CFLAGS = $(AM_CFLAGS) $(LIBNBD_CFLAGS) $(ZSTD_CFLAGS) \
	$(LZ4_CFLAGS) $(XXHASH_CFLAGS) $(URING_CFLAGS) $(CONFUSE_CFLAGS) \
	$(JANSSON_CFLAGS) $(CRYPTO_CFLAGS) $(FUSE_CFLAGS) $(LIBBPF_CFLAGS)
libtierswap_la_LIBADD = $(LIBNBD_LIBS) $(ZSTD_LIBS) $(LZ4_LIBS) \
	$(XXHASH_LIBS) $(URING_LIBS) $(CONFUSE_LIBS) $(JANSSON_LIBS) \
	$(CRYPTO_LIBS) $(FUSE_LIBS) $(LIBBPF_LIBS)

include $(srcdir)/server/common/local.mk
include $(srcdir)/server/backing/local.mk
include $(srcdir)/server/store/local.mk
include $(srcdir)/server/policy/local.mk
include $(srcdir)/server/attach/local.mk
include $(srcdir)/server/control/local.mk
