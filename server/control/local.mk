libtierswap_la_SOURCES += \
	server/control/statistics.c \
	server/control/statistics.h \
	server/control/tierswap.c
