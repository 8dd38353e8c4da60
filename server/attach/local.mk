# tierswapctl's part that deals with the kernel: none of the engine is in it.
noinst_LTLIBRARIES += libattach.la
libattach_la_SOURCES = \
	server/attach/attach.c \
	server/attach/attach.h \
	server/attach/claim.c \
	server/attach/claim.h \
	server/attach/commands.c \
	server/attach/commands.h \
	server/attach/disk.c \
	server/attach/disk.h \
	server/attach/driver.c \
	server/attach/driver.h \
	server/attach/handshake.c \
	server/attach/handshake.h \
	server/attach/options.c \
	server/attach/options.h \
	server/attach/orphan.c \
	server/attach/orphan.h \
	server/attach/running.c \
	server/attach/running.h \
	server/attach/upgrade.c \
	server/attach/watch.c \
	server/attach/watch.h \
	server/attach/supervise.c \
	server/attach/supervise.h \
	server/attach/swap.c \
	server/attach/swap.h \
	server/attach/why.c \
	server/attach/why.h \
	$(protect_sources) \
	server/control/ask.c \
	server/control/ask.h \
	$(human_sources)
libattach_la_CFLAGS = $(AM_CFLAGS) $(NETLINK_CFLAGS) $(JANSSON_CFLAGS)
libattach_la_LIBADD = $(NETLINK_LIBS) $(JANSSON_LIBS)
