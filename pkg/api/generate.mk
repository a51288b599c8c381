# SPDX-License-Identifier: Apache-2.0
#
# What is generated from manifests/crds at build time: the embedded CRDs and the typed C structs of each kind.
# GEN_HEADERS are made before anything of a floor above api is compiled; GEN_OBJS_api join that package's archive. The
# generator itself is built from the floors below api, so these do not wait for the headers.

CRDS         := $(sort $(wildcard manifests/crds/*.yaml))
GEN_DIR      := $(BUILD)/gen/api
GEN_HEADERS  := $(GEN_DIR)/types.h
GEN_OBJS_api := $(BUILD)/obj/gen/types.o $(BUILD)/obj/gen/builtin.o
GENERATOR    := $(BUILD)/generate-kinds

$(GENERATOR): hack/generate-kinds.c $(BUILD)/lib/libyaml.a $(BUILD)/lib/libjson.a $(BUILD)/lib/libbase.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(call libs,jansson libfyaml gnutls) -lm

# One run writes all three; make 4.3 knows this as a grouped target.
$(GEN_DIR)/types.h $(GEN_DIR)/types.c $(GEN_DIR)/builtin.c &: $(GENERATOR) $(CRDS)
	@mkdir -p $(GEN_DIR)
	$(call say,GEN,$(GEN_DIR))
	$(Q)$(GENERATOR) $(GEN_DIR) $(CRDS)

$(BUILD)/obj/gen/%.o: $(GEN_DIR)/%.c $(GEN_DIR)/types.h
	$(compile)
