libtierswap_la_SOURCES += \
	server/backing/backing.c \
	server/backing/backing.h \
	server/backing/bounce.c \
	server/backing/bounce.h \
	server/backing/cipher.c \
	server/backing/cipher.h \
	server/backing/extents.c \
	server/backing/extents.h \
	server/backing/file.c \
	server/backing/file.h \
	server/backing/internal.h \
	server/backing/janitor.c \
	server/backing/janitor.h \
	server/backing/queue.c \
	server/backing/remote.c \
	server/backing/remote-connect.c \
	server/backing/remote-internal.h \
	server/backing/remote-loop.c \
	server/backing/remote-requests.c \
	server/backing/remote.h \
	server/backing/threads.c \
	server/backing/uring.c
