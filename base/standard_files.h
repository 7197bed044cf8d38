/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#pragma once

/* Sees to it that descriptors 0 to 2 are open, be it on /dev/null: else the next files that are
 * opened would be taken for them, and written to. First of all in main. */
void open_standard_files(void);
