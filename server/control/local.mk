libtierswap_la_SOURCES += \
	server/control/attributes.c \
	server/control/attributes.h \
	server/control/client.c \
	server/control/client.h \
	server/control/command.c \
	server/control/command.h \
	server/control/control.c \
	server/control/control.h \
	server/control/human.c \
	server/control/human.h \
	server/control/listener.c \
	server/control/listener.h \
	server/control/protocol.c \
	server/control/protocol.h \
	server/control/registry.c \
	server/control/registry.h \
	server/control/statistics.c \
	server/control/statistics.h \
	server/control/tierswap.c \
	server/control/usage.c \
	server/control/usage.h

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
	server/control/usage.c \
	server/control/usage.h
tierswapctl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(NCURSES_CFLAGS)
tierswapctl_LDADD = libattach.la $(JANSSON_LIBS) $(NCURSES_LIBS) -lm

EXTRA_DIST += server/control/tierswapctl.pod
generated_man += server/control/tierswapctl.8
