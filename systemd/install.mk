# SPDX-License-Identifier: Apache-2.0
install: all
uninstall:
