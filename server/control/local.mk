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
