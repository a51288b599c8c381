# SPDX-License-Identifier: Apache-2.0
"""The next part of the rig."""


def run(rig):
    pass
