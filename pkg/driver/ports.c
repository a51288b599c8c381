/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the ports' enumerations, shared by every implementation.
 */
#include "base/memory.h"
#include "driver/hypervisor.h"
#include "driver/image.h"

static const char *const domain_states[_DOMAIN_STATE_MAX] = {
	[DOMAIN_ABSENT] = "Absent", [DOMAIN_SHUTOFF] = "Shutoff",   [DOMAIN_RUNNING] = "Running",
	[DOMAIN_PAUSED] = "Paused", [DOMAIN_STOPPING] = "Stopping",
};

static const char *const domain_reasons[_DOMAIN_REASON_MAX] = {
	[DOMAIN_REASON_NONE] = "None",
	[DOMAIN_REASON_BOOTED] = "Booted",
	[DOMAIN_REASON_SHUTDOWN] = "GuestShutdown",
	[DOMAIN_REASON_DESTROYED] = "Destroyed",
	[DOMAIN_REASON_CRASHED] = "GuestPanicked",
	[DOMAIN_REASON_FAILED] = "HypervisorProcessDied",
	[DOMAIN_REASON_HOST_SHUTDOWN] = "HostShutdown",
	[DOMAIN_REASON_USER] = "PausedByUser",
	[DOMAIN_REASON_IO_ERROR] = "IOError",
};

static const char *const domain_powers[_POWER_MAX] = {
	[POWER_START] = "start",   [POWER_SHUTDOWN] = "shut down", [POWER_DESTROY] = "force off",
	[POWER_REBOOT] = "reboot", [POWER_RESET] = "reset",        [POWER_SUSPEND] = "pause",
	[POWER_RESUME] = "resume",
};

static const char *const image_phases[_IMAGE_PHASE_MAX] = {
	[IMAGE_PENDING] = "Pending",     [IMAGE_FETCHING] = "Fetching",
	[IMAGE_VERIFYING] = "Verifying", [IMAGE_CONVERTING] = "Converting",
	[IMAGE_READY] = "Ready",         [IMAGE_FAILED] = "Failed",
};

const char *domain_state_to_string(DomainState s)
{
	return domain_states[s];
}

const char *domain_reason_to_string(DomainReason r)
{
	return domain_reasons[r];
}

const char *domain_power_to_string(DomainPower p)
{
	return domain_powers[p];
}

const char *image_phase_to_string(ImagePhase p)
{
	return image_phases[p];
}

void image_state_done(ImageState *s)
{
	error_done(&s->error);
}
