libtierswap_la_SOURCES += \
	server/common/message.c \
	server/common/message.h
