# The nbdkit plugin: glue between NBD's callbacks and include/tierswap.h.
plugin_LTLIBRARIES += nbdkit-tierswap-plugin.la
nbdkit_tierswap_plugin_la_SOURCES = plugin/plugin.c plugin/fence.c \
	plugin/fence.h
nbdkit_tierswap_plugin_la_CPPFLAGS = $(AM_CPPFLAGS)
nbdkit_tierswap_plugin_la_CFLAGS = $(AM_CFLAGS) $(NBDKIT_CFLAGS)
nbdkit_tierswap_plugin_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version \
	-shared -export-symbols-regex '^plugin_init$$'
nbdkit_tierswap_plugin_la_LIBADD = libtierswap.la

EXTRA_DIST += plugin/nbdkit-tierswap-plugin.pod
generated_man += plugin/nbdkit-tierswap-plugin.1
plugin/nbdkit-tierswap-plugin.1: plugin/nbdkit-tierswap-plugin.pod
	$(AM_V_at)$(MKDIR_P) plugin
	$(AM_V_GEN)$(POD2MAN) $(POD2MAN_FLAGS) --section=1 \
	  --name=nbdkit-tierswap-plugin $< $@

# ./nbdkit runs it uninstalled.
noinst_SCRIPTS = nbdkit
