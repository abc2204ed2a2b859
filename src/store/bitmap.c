#include "store/bitmap.h"

struct walk {
    roaring_bitmap_t *copy;
    uint64_t count;
    uint32_t last;
    bool ascends;
};

static bool step(uint32_t value, void *arg)
{
    struct walk *walk = arg;
    walk->ascends &= walk->count == 0 || value > walk->last;
    walk->last = value;
    walk->count++;
    roaring_bitmap_add(walk->copy, value);
    return walk->ascends;
}

/* Containers must be as they would have been made: a copy by values has the same ones. An empty one, for instance,
 * makes an iterator read what is not there. */
static bool is_sound(const roaring_bitmap_t *bitmap)
{
    struct walk walk = {.copy = roaring_bitmap_create(), .ascends = true};
    if (!walk.copy) return false;
    roaring_iterate(bitmap, step, &walk);
    bool sound = walk.ascends && walk.count == roaring_bitmap_get_cardinality(bitmap) &&
                 roaring_bitmap_equals(bitmap, walk.copy);
    roaring_bitmap_free(walk.copy);
    return sound;
}

roaring_bitmap_t *bitmap_read(struct str bytes)
{
    roaring_bitmap_t *bitmap = roaring_bitmap_portable_deserialize_safe(bytes.data, bytes.size);
    if (!bitmap || is_sound(bitmap)) return bitmap;
    roaring_bitmap_free(bitmap);
    return NULL;
}
