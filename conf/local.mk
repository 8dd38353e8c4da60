# The commented example and the manual of the configuration.
EXTRA_DIST += conf/tierswap.conf conf/tierswap.conf.pod
generated_man += conf/tierswap.conf.5

# An operator's own file is left alone: the example is put beside it.
configurationdir = $(sysconfdir)/tierswap
install-data-local: install-configuration
install-configuration:
	$(MKDIR_P) "$(DESTDIR)$(configurationdir)"
	@new=$(srcdir)/conf/tierswap.conf; \
	old="$(DESTDIR)$(configurationdir)/tierswap.conf"; \
	if test -e "$$old" && ! cmp -s "$$new" "$$old"; then \
	  echo "$$old is kept; see $$old.example"; old="$$old.example"; \
	fi; \
	echo "$(INSTALL_DATA) $$new $$old"; \
	$(INSTALL_DATA) "$$new" "$$old"
uninstall-local: uninstall-configuration
uninstall-configuration:
	@old="$(DESTDIR)$(configurationdir)/tierswap.conf"; \
	rm -f "$$old.example"; \
	if cmp -s $(srcdir)/conf/tierswap.conf "$$old"; then rm -f "$$old"; fi
.PHONY: install-configuration uninstall-configuration

# The service: where systemd looks below each prefix.
systemdunitdir = $(prefix)/lib/systemd/system
nodist_systemdunit_DATA = conf/tierswap.service
EXTRA_DIST += conf/tierswap.service.in
CLEANFILES += conf/tierswap.service
conf/tierswap.service: conf/tierswap.service.in Makefile
	$(AM_V_at)$(MKDIR_P) conf
	$(AM_V_GEN)sed -e 's,[@]bindir@,$(bindir),g' \
	  -e 's,[@]sysconfdir@,$(sysconfdir),g' \
	  $(srcdir)/conf/tierswap.service.in > $@-t && mv $@-t $@

bashcompletiondir = $(datarootdir)/bash-completion/completions
dist_bashcompletion_DATA = conf/completions/tierswapctl

# The page that walks an operator through all of it.
EXTRA_DIST += conf/tierswap.pod
generated_man += conf/tierswap.7
