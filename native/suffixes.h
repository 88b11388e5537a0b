/* suffixes.h - sorts the suffixes of a text of tokens. */
#ifndef ESP_SUFFIXES_H
#define ESP_SUFFIXES_H

#include "espalier.h"

enum { ESP_MAX_ALPHABET = (1 << 24) + 1 }; /* tokens of any vocabulary, and a border */

typedef struct {
  const int32_t *tokens; /* length of them, 0 <= token < alphabet */
  int32_t length, alphabet;
  int32_t *suffixes; /* length: where each suffix begins, the smallest suffix first; a prefix of another is smaller than it */
  const int32_t *abort; /* may be NULL; a nonzero element 0 stops it within some milliseconds */
} EspSuffixSort;

/* Takes time and memory linear in length and alphabet: beside the two arrays at most length / 4 + 4 * alphabet bytes, or 2 * length where more. */
EspStatus esp_suffix_sort(const EspSuffixSort *sort);

#endif
