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
