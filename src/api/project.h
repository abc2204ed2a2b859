#pragma once
/* Projects as the control plane and as the log know them. */
#include "meta/meta.h"
#include "store/batch.h"

enum identity_mode api_identity_mode(enum meta_identity identity);
