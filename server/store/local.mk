libtierswap_la_SOURCES += \
	server/store/append.c \
	server/store/append.h \
	server/store/backed.c \
	server/store/backed.h \
	server/store/check.c \
	server/store/cleaner.c \
	server/store/cleaner.h \
	server/store/codec.c \
	server/store/codec.h \
	server/store/demote.c \
	server/store/demote.h \
	server/store/frame.c \
	server/store/frame.h \
	server/store/group.c \
	server/store/group.h \
	server/store/index_stack.h \
	server/store/internal.h \
	server/store/mover.c \
	server/store/mover.h \
	server/store/object.h \
	server/store/page.h \
	server/store/pick.c \
	server/store/pick.h \
	server/store/reader.c \
	server/store/reader.h \
	server/store/region.c \
	server/store/region.h \
	server/store/room.c \
	server/store/room.h \
	server/store/segment.c \
	server/store/segment.h \
	server/store/slot.h \
	server/store/slots.c \
	server/store/slots.h \
	server/store/statistics.c \
	server/store/store.c \
	server/store/store.h \
	server/store/walk.c \
	server/store/walk.h \
	server/store/worker.c \
	server/store/worker.h \
	server/store/writer.c

EXTRA_DIST += server/store/MEMORY-FORMAT.md
