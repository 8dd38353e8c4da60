libtierswap_la_SOURCES += \
	server/policy/device.c \
	server/policy/device.h \
	server/policy/protect.c \
	server/policy/protect.h \
	server/policy/config.c \
	server/policy/config.h \
	server/policy/config-cgroup.c \
	server/policy/config-cgroup.h \
	server/policy/config-check.c \
	server/policy/config-check.h \
	server/policy/config-grammar.c \
	server/policy/config-grammar.h \
	server/policy/config-memory.c \
	server/policy/config-memory.h \
	server/policy/config-report.c \
	server/policy/config-report.h \
	server/policy/config-size.c \
	server/policy/config-size.h \
	server/policy/config-text.c \
	server/policy/config-text.h \
	server/policy/config-value.c \
	server/policy/config-value.h
