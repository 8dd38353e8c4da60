libtierswap_la_SOURCES += \
	server/common/message.c \
	server/common/message.h \
	server/common/protect.c \
	server/common/protect.h \
	server/common/refuse.c \
	server/common/refuse.h \
	server/common/wake.c \
	server/common/wake.h
