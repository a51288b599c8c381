# SPDX-License-Identifier: Apache-2.0
#
# One makefile for everything. `make help` lists the targets. Output goes to build/ (build/$(SAN)/ for sanitizer
# builds, build/fail-points/ with FAIL_POINTS=1: pkg/base/failpoint.h). Every folder of pkg/ becomes one archive;
# archives are linked in floor order, top first, so that a call up a floor does not link. V=1 shows the commands.

SAN       ?=
FAIL_POINTS ?=
BUILD     ?= build$(if $(FAIL_POINTS),/fail-points)$(if $(SAN),/$(subst $(comma),-,$(SAN)))
comma     := ,
# One name for one folder, however it is given: dependencies of objects name their targets by it.
override BUILD := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))
CC        ?= gcc
PREFIX    ?= /usr/local
SYSTEMD_UNIT_DIR ?= $(PREFIX)/lib/systemd/system
SYSUSERS_DIR     ?= $(PREFIX)/lib/sysusers.d
TMPFILES_DIR     ?= $(PREFIX)/lib/tmpfiles.d
CATALOG_DIR      ?= /usr/lib/systemd/catalog
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

# ---- what is there ---------------------------------------------------------------------------------------------

# Floor order, lowest first.
PKGS := base pki yaml json daemon api driver driver/libvirt driver/net driver/image driver/seed driver/fake \
        store controller reconcile server client

# What a test of a package (tests/*/<package with _ for />/) links: itself and the floors below that it uses.
USES_base           := base
USES_yaml           := yaml base
USES_json           := json base
USES_pki            := pki base
USES_daemon         := daemon base
USES_api            := api json yaml pki base
USES_driver         := driver base
USES_driver_libvirt := driver/libvirt driver/fake driver/seed driver base
USES_driver_net     := driver/net driver/fake driver json daemon base
USES_driver_image   := driver/image driver/fake driver json daemon base
USES_driver_seed    := driver/seed driver/fake driver json base
USES_driver_fake    := driver/fake driver base
USES_store          := store api json yaml pki base
USES_controller     := controller store api daemon json yaml pki base
USES_reconcile      := reconcile controller store driver/fake driver api daemon json yaml pki base
USES_server         := server controller store driver/fake driver api daemon json yaml pki base
USES_client         := client api json yaml pki base
USES_all            := client server reconcile controller store driver/fake driver/seed driver/image driver/net \
                       driver/libvirt driver api daemon json yaml pki base
USES_fuzz           := $(USES_all)
USES_sfd            := server reconcile controller store driver/fake driver/seed driver/image driver/net \
                       driver/libvirt driver api daemon json yaml pki base
USES_sfctl          := cmd/sfctl client api json yaml pki base

DEPS_PC   := jansson libfyaml libvirt libxml-2.0 libcurl sqlite3 libcap-ng libseccomp libsystemd libmicrohttpd gnutls \
             libnl-3.0 libnl-route-3.0 libnftables libmnl libisofs-1 smartcols cmocka
PC_CFLAGS := $(shell pkg-config --cflags $(DEPS_PC) 2>/dev/null)
libs       = $(shell pkg-config --libs $(1) 2>/dev/null)
LIBS_SFD  := $(call libs,jansson libfyaml libvirt libxml-2.0 libcurl sqlite3 libcap-ng libseccomp libsystemd \
             libmicrohttpd gnutls libnl-3.0 libnl-route-3.0 libnftables libmnl libisofs-1) -lm
LIBS_SFCTL := $(call libs,jansson libfyaml libcurl gnutls smartcols) -lm
LIBS_TEST := $(LIBS_SFD) $(call libs,cmocka smartcols)

# ---- flags -----------------------------------------------------------------------------------------------------

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wformat-nonliteral \
           -Wno-missing-field-initializers -Wno-format-nonliteral -Werror=implicit-function-declaration \
           -Werror=incompatible-pointer-types -Werror=int-conversion -Werror=return-type $(if $(WERROR),-Werror)
HARDEN  := $(if $(SAN),,-D_FORTIFY_SOURCE=2 -fstack-clash-protection -ftrivial-auto-var-init=zero) \
           -fstack-protector-strong -fcf-protection -fPIE
OPT     := $(if $(SAN),-O1,-O2)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
CFLAGS  += -std=gnu17 -g $(OPT) $(WARN) $(HARDEN) $(SANFLAGS) -fvisibility=hidden -pthread -D_GNU_SOURCE \
           -DSF_VERSION='"$(VERSION)"' -Ipkg -I. -I$(BUILD)/gen $(PC_CFLAGS) $(if $(FAIL_POINTS),-DSF_FAIL_POINTS)
LDFLAGS += $(SANFLAGS) -pthread -pie -Wl,-z,relro,-z,now -Wl,--as-needed

# ---- rules -----------------------------------------------------------------------------------------------------

srcs    = $(sort $(wildcard pkg/$(1)/*.c))
objs    = $(patsubst %.c,$(BUILD)/obj/%.o,$(call srcs,$(1)))
archive = $(BUILD)/lib/lib$(subst /,_,$(1)).a
archives = $(foreach p,$(1),$(call archive,$(p)))

TEST_SRCS := $(sort $(wildcard tests/unit/*/test_*.c tests/contract/*/test_*.c tests/integration/*/test_*.c \
             tests/fuzz/fuzz_*.c))
TESTS     := $(patsubst %.c,$(BUILD)/%,$(TEST_SRCS))
# Helpers of all tests are an archive; those of one package's tests lie beside them as lib_*.c.
TESTLIB   := $(BUILD)/lib/libtest.a
test_pkg   = $(notdir $(patsubst %/,%,$(dir $(1))))
test_libs  = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(dir $(1))lib_*.c))

.PHONY: all check check-unit check-contract check-integration check-threads check-threads-integration check-ledger check-kubectl check-e2e benches crash-tools prove-tools verify format generated flags install uninstall clean help \
        compile_commands.json
.SECONDEXPANSION:
.DELETE_ON_ERROR:

all: $(BUILD)/sfd $(BUILD)/sfctl ## build sfd and sfctl (default)

include pkg/api/generate.mk

$(foreach p,$(PKGS),$(eval $(call archive,$(p)): $(call objs,$(p)) $(GEN_OBJS_$(subst /,_,$(p)))))
# The verbs of sfctl are an archive too, so that tests run them in process: only main.c stays apart.
$(call archive,cmd/sfctl): $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/main.c,$(sort $(wildcard cmd/sfctl/*.c))))
$(BUILD)/lib/%.a:
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^

define compile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<
endef

# The floors that the generator is made of cannot wait for what it makes.
$(foreach p,base json yaml,$(call objs,$(p))): $(BUILD)/obj/%.o: %.c
	$(compile)

$(BUILD)/obj/%.o: %.c | $(GEN_HEADERS)
	$(compile)

$(BUILD)/sfd: $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard cmd/sfd/*.c))) $(call archives,$(USES_sfd))
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_SFD)

$(BUILD)/sfctl: $(BUILD)/obj/cmd/sfctl/main.o $(call archives,$(USES_sfctl))
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_SFCTL)

$(TESTLIB): $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard tests/lib/*.c)))

$(TESTS): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $$(call test_libs,tests/$$*) $(TESTLIB) \
          $$(call archives,$$(USES_$$(call test_pkg,tests/$$*)))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_TEST)

# It comes in between a request's look and its commit, and says what chance says.
$(BUILD)/tests/contract/server/test_races: private LDFLAGS += -Wl,--wrap=store_commit_async,--wrap=random_u64,--wrap=session_thread
# It makes a write right after another one, before whoever made that goes on.
$(BUILD)/tests/unit/reconcile/test_races: private LDFLAGS += -Wl,--wrap=store_commit

tests: $(TESTS) ## build every C test

# The fuzz targets with libFuzzer's main() instead of the corpus runner. hack/fuzz calls this, with clang.
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
$(FUZZERS): $(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $$(call archives,$$(USES_fuzz))
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS_TEST)

# What hack/bench measures with: a program each, those with a header (and client.c) are theirs together.
BENCH_SHARED := tests/bench/client.c $(patsubst %.h,%.c,$(wildcard tests/bench/*.h))
BENCH_LIB := $(patsubst %.c,$(BUILD)/obj/%.o,$(BENCH_SHARED))
BENCHES := $(patsubst %.c,$(BUILD)/%,$(filter-out $(BENCH_SHARED),$(sort $(wildcard tests/bench/*.c))))
$(BENCHES): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(BENCH_LIB) $(call archives,$(USES_all))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_TEST)

benches: all $(BENCHES) ## build what hack/bench needs

# The C helpers of the rigs of hack/prove.
PROVE_TOOLS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/prove/*.c)))
$(PROVE_TOOLS): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TESTLIB) $(call archives,cmd/sfctl $(USES_all))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_TEST)

# The same code as a library, to be put into a role's process.
$(BUILD)/tests/prove/confined.so: tests/prove/confined.c
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -std=gnu17 -O2 -D_GNU_SOURCE -DPRELOAD -fPIC -shared -o $@ $<

# tests/crash: one program of several files, in a build that has fail points.
CRASH_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard tests/crash/*.c)))
$(BUILD)/tests/crash/crash: $(CRASH_OBJS) $(TESTLIB) $(call archives,$(USES_all))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_TEST)

crash-tools: $(BUILD)/sfd $(BUILD)/tests/crash/crash

prove-tools: all tests $(PROVE_TOOLS) $(BUILD)/tests/prove/confined.so ## build what hack/prove needs
	$(Q)$(MAKE) --no-print-directory FAIL_POINTS=1 BUILD=$(BUILD)/fail-points crash-tools

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# ---- checks ----------------------------------------------------------------------------------------------------

check: verify check-unit check-contract check-integration check-kubectl check-e2e ## everything that hack/test runs

check-unit: $(filter $(BUILD)/tests/unit/% $(BUILD)/tests/fuzz/%,$(TESTS)) ## unit and golden tests, fuzz corpus
	$(Q)tests/lib/run-c $^

check-contract: $(filter $(BUILD)/tests/contract/%,$(TESTS)) ## one suite per port over every implementation
	$(Q)tests/lib/run-c $^

check-integration: $(filter $(BUILD)/tests/integration/%,$(TESTS)) all ## real kernel, libvirt and dnsmasq, in the sandbox
	$(Q)tests/lib/run-c --sandbox $(filter $(BUILD)/tests/integration/%,$^)

THREADED := store controller daemon server reconcile driver_libvirt driver_net driver_image
# libvirt is no part of it: it hands our objects from thread to thread under locks that ThreadSanitizer cannot see.
NOT_THREADED := $(BUILD)/tests/contract/driver_libvirt/%
check-threads: $(filter-out $(NOT_THREADED),$(foreach p,$(THREADED),$(filter $(BUILD)/tests/unit/$(p)/% $(BUILD)/tests/contract/$(p)/%,$(TESTS)))) ## what has threads; use with SAN=thread
	$(Q)tests/lib/run-c $^

check-threads-integration: $(filter-out $(BUILD)/tests/integration/driver_libvirt/% %/test_ledger,$(filter $(BUILD)/tests/integration/%,$(TESTS))) all ## the same of real kernel objects and roles
	$(Q)tests/lib/run-c --sandbox $(filter $(BUILD)/tests/integration/%,$^)

check-ledger: $(BUILD)/tests/integration/server/test_ledger all ## what watchers saw against the log, through restarts; LEDGER_SECONDS=60
	$(Q)tests/lib/sandbox --disk -- env TSAN_OPTIONS=suppressions=$(CURDIR)/tests/lib/tsan.supp $<

check-kubectl: all ## real kubectl, helm and client libraries against a real sfd, in the sandbox
	$(Q)BUILD=$(abspath $(BUILD)) tests/kubectl/run

check-e2e: all ## real sfd, sfctl and guests, in the sandbox
	$(Q)BUILD=$(abspath $(BUILD)) tests/e2e/run

verify: ## format, floors, headers, banned calls, file heads
	$(Q)hack/verify

format: ## let clang-format write what it wants
	$(Q)hack/update-format

generated: $(GEN_HEADERS) ## headers made from manifests/crds
flags: # for hack/verify-headers and hack/update-compile-commands, which use them without a shell's unquoting
	@:$(info $(filter-out -DSF_VERSION=%,$(CFLAGS)) -DSF_VERSION="dev")

compile_commands.json: ## for clangd and clang-tidy
	$(Q)hack/update-compile-commands

# ---- install ---------------------------------------------------------------------------------------------------

include systemd/install.mk

clean: ## remove build/
	$(Q)rm -rf build compile_commands.json

help: ## this list
	@grep -hE '^[a-z_.-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  %-22s %s\n", $$1, $$2}'
