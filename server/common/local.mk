# What is in libattach too.
protect_sources = server/common/protect.c server/common/protect.h

libtierswap_la_SOURCES += \
	server/common/message.c \
	server/common/message.h \
	$(protect_sources) \
	server/common/refuse.c \
	server/common/refuse.h \
	server/common/wake.c \
	server/common/wake.h
