#include "api/project.h"

enum identity_mode api_identity_mode(enum meta_identity identity)
{
    switch (identity) {
    case META_IDENTITY_ORIGINAL: return IDENTITY_ORIGINAL;
    case META_IDENTITY_LEGACY: return IDENTITY_LEGACY;
    default: return IDENTITY_SIMPLIFIED;
    }
}
