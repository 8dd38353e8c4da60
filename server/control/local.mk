# What is in libattach or in tierswapctl too.
human_sources = server/control/human.c server/control/human.h
usage_sources = server/control/usage.c server/control/usage.h

libtierswap_la_SOURCES += \
	server/control/attributes.c \
	server/control/attributes.h \
	server/control/client.c \
	server/control/client.h \
	server/control/command.c \
	server/control/command.h \
	server/control/control.c \
	server/control/control.h \
	server/control/fuse.c \
	server/control/fuse.h \
	server/control/fuse-command.c \
	server/control/fuse-command.h \
	server/control/fuse-disk.c \
	server/control/fuse-files.c \
	server/control/fuse-folders.c \
	server/control/fuse-internal.h \
	server/control/fuse-mount.c \
	server/control/fuse-mount.h \
	server/control/fuse-names.c \
	server/control/fuse-names.h \
	server/control/fuse-node.c \
	server/control/fuse-node.h \
	server/control/fuse-reports.c \
	server/control/fuse-reports.h \
	server/control/fuse-serve.c \
	$(human_sources) \
	server/control/listener.c \
	server/control/listener.h \
	server/control/protocol.c \
	server/control/protocol.h \
	server/control/registry.c \
	server/control/registry.h \
	server/control/statistics.c \
	server/control/statistics.h \
	server/control/tierswap.c \
	$(usage_sources)

# The command that speaks with the control socket: none of the engine is in it.
bin_PROGRAMS += tierswapctl
tierswapctl_SOURCES = \
	server/control/metrics.c \
	server/control/metrics.h \
	server/control/screen.c \
	server/control/screen.h \
	server/control/show.c \
	server/control/show.h \
	server/control/tierswapctl.c \
	server/control/top.c \
	server/control/top.h \
	$(usage_sources)
tierswapctl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(NCURSES_CFLAGS)
tierswapctl_LDADD = libattach.la $(JANSSON_LIBS) $(NCURSES_LIBS) -lm

EXTRA_DIST += server/control/tierswap-fuse.pod server/control/tierswapctl.pod
generated_man += server/control/tierswap-fuse.5 server/control/tierswapctl.8
