/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the port to what is behind it. Private to this folder.
 */
#pragma once

#include "driver/libvirt/connection.h"

/* h was made by libvirt_hypervisor_new(). No reference is taken. */
Libvirt *hypervisor_libvirt(Hypervisor *h);
