# SPDX-License-Identifier: Apache-2.0
#
# What is generated from manifests/crds at build time: the embedded CRDs and the typed C structs of each kind.
# GEN_HEADERS are made before anything is compiled; GEN_OBJS_<package> join that package's archive.

GEN_HEADERS :=
GEN_OBJS_api :=
