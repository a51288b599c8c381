# SPDX-License-Identifier: Apache-2.0
#
# make install / uninstall. DESTDIR for packagers, PREFIX (default /usr/local) for everybody else. Nothing is started
# and no user is made here: what is left to do is told at the end. The configuration in /etc/sfd is never touched.

BINDIR  ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
MANDIR  ?= $(PREFIX)/share/man
BASH_COMPLETION_DIR ?= $(PREFIX)/share/bash-completion/completions
INSTALL ?= install

UNITS     := sfd.service sfd.socket sfd-net.service
INSTALLED  = $(SBINDIR)/sfd $(BINDIR)/sfctl $(MANDIR)/man8/sfd.8 $(MANDIR)/man1/sfctl.1 \
             $(addprefix $(SYSTEMD_UNIT_DIR)/,$(UNITS)) $(SYSUSERS_DIR)/sfd.conf $(TMPFILES_DIR)/sfd.conf \
             $(CATALOG_DIR)/sfd.catalog $(BASH_COMPLETION_DIR)/sfctl

install: all ## install into DESTDIR and PREFIX
	$(Q)$(INSTALL) -D -m 0755 $(BUILD)/sfd $(DESTDIR)$(SBINDIR)/sfd
	$(Q)$(INSTALL) -D -m 0755 $(BUILD)/sfctl $(DESTDIR)$(BINDIR)/sfctl
	$(Q)$(INSTALL) -D -m 0644 cmd/sfd/sfd.8 $(DESTDIR)$(MANDIR)/man8/sfd.8
	$(Q)$(INSTALL) -D -m 0644 cmd/sfctl/sfctl.1 $(DESTDIR)$(MANDIR)/man1/sfctl.1
	$(Q)mkdir -p $(DESTDIR)$(SYSTEMD_UNIT_DIR) $(DESTDIR)$(BASH_COMPLETION_DIR)
	$(Q)for unit in $(UNITS); do \
		sed 's|@SBINDIR@|$(SBINDIR)|g' systemd/$$unit >$(DESTDIR)$(SYSTEMD_UNIT_DIR)/$$unit && \
		chmod 0644 $(DESTDIR)$(SYSTEMD_UNIT_DIR)/$$unit || exit 1; done
	$(Q)$(INSTALL) -D -m 0644 systemd/sfd.sysusers $(DESTDIR)$(SYSUSERS_DIR)/sfd.conf
	$(Q)$(INSTALL) -D -m 0644 systemd/sfd.tmpfiles $(DESTDIR)$(TMPFILES_DIR)/sfd.conf
	$(Q)$(INSTALL) -D -m 0644 systemd/sfd.catalog $(DESTDIR)$(CATALOG_DIR)/sfd.catalog
	$(Q)$(BUILD)/sfctl completion bash >$(DESTDIR)$(BASH_COMPLETION_DIR)/sfctl
	@$(if $(DESTDIR),,printf '%s\n' 'Installed. Now, as root:' '  systemd-sysusers && systemd-tmpfiles --create' \
		'  journalctl --update-catalog' '  systemctl daemon-reload' '  systemctl enable --now sfd' \
		'and for people who may use it:  adduser NAME sfd')

uninstall: ## remove what install put there; state and configuration stay
	$(Q)rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	@$(if $(DESTDIR),,printf '%s\n' 'Removed. Guests run on; what is theirs is in /var/lib/sfd, the configuration in /etc/sfd.')
