libtierswap_la_SOURCES += \
	server/policy/device.c \
	server/policy/device.h \
	server/policy/protect.c \
	server/policy/protect.h
