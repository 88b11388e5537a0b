/* chain.c - a chain that drafts itself: the likeliest token of each row is the next row, as long as that seems worth a pass. */
#include "espalier.h"
#include "numbers.h"

#include <string.h>

static const char *check(const EspPass *pass, const EspChain *chain) {
  if (pass->tree_count != 1 || pass->top_k < 1 || !pass->last_only) return "a chain goes on behind the last row of one tree";
  if (pass->logits || pass->picks || pass->penalised_k > 0 || pass->tap_count > 0) return "a chain gives lists alone";
  if (pass->input || pass->more_count > 0) return "a chain reads tokens of the model's own";
  if (chain->levels < 0 || chain->levels > ESP_MAX_NODES - pass->trees[0].size) return "a chain has no room for so many levels";
  return chain->worth >= 0 ? NULL : "a chain needs the least that it goes on for";
}

EspStatus esp_forward_chain(EspStack *stack, const EspPass *first, const EspChain *chain, int32_t *levels, const char **message) {
  *levels = 0;
  *message = check(first, chain);
  if (*message) return ESP_INVALID;
  EspStatus status = esp_forward(stack, first, message);
  if (status != ESP_OK || chain->levels == 0) return status;
  int32_t tokens[ESP_MAX_NODES], parents[ESP_MAX_NODES];
  EspTree tree = first->trees[0];
  memcpy(tokens, tree.tokens, (size_t)tree.size * sizeof *tokens);
  memcpy(parents, tree.parents, (size_t)tree.size * sizeof *parents);
  tree.tokens = tokens;
  tree.parents = parents;
  EspPass pass = *first;
  pass.trees = &tree;
  double value = 1;
  while (*levels < chain->levels) {
    const double prob = esp_exp((double)pass.top_log_probs[0]);
    const int32_t class = prob < 1 ? (int32_t)(prob * ESP_CHAIN_ODDS) : ESP_CHAIN_ODDS - 1;
    const double chance = chain->odds ? chain->odds[class] : prob;
    value *= chance;
    if (!(value * chance > chain->worth)) break;
    tokens[tree.size] = pass.top_tokens[0];
    parents[tree.size] = tree.size - 1;
    tree.first = tree.size++;
    pass.top_tokens += pass.top_k;
    pass.top_log_probs += pass.top_k;
    status = esp_forward(stack, &pass, message);
    if (status != ESP_OK) return status;
    ++*levels;
  }
  return ESP_OK;
}
