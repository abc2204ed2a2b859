#include "store/filter.h"

static const uint32_t salts[8] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                  0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};

size_t filter_bytes(size_t keys)
{
    return (keys * 16 / 8 + 31) / 32 * 32;
}

static size_t block_of(size_t bytes, uint64_t key)
{
    return (size_t)((key >> 32) * (bytes / 32) >> 32) * 32;
}

void filter_add(unsigned char *filter, size_t bytes, uint64_t key)
{
    unsigned char *block = filter + block_of(bytes, key);
    for (int i = 0; i < 8; i++) {
        uint32_t word, bit = (uint32_t)1 << ((uint32_t)key * salts[i] >> 27);
        memcpy(&word, block + i * 4, 4);
        word |= bit;
        memcpy(block + i * 4, &word, 4);
    }
}

bool filter_has(const unsigned char *filter, size_t bytes, uint64_t key)
{
    if (bytes == 0) return false;
    const unsigned char *block = filter + block_of(bytes, key);
    for (int i = 0; i < 8; i++) {
        uint32_t word, bit = (uint32_t)1 << ((uint32_t)key * salts[i] >> 27);
        memcpy(&word, block + i * 4, 4);
        if (!(word & bit)) return false;
    }
    return true;
}
