import { expect, test } from "vitest";
import { parseTemplate, renderTemplate } from "./bounded-jinja.ts";

const render = (source: string, variables = {}) => renderTemplate(parseTemplate(source), variables);
/** Makes `s` a text of `doublings` doublings. */
const grown = (doublings: number, rest: string) =>
  `{% set n = namespace(s='xxxxxxxx') %}{% for i in range(${doublings}) %}{% set n.s = n.s ~ n.s %}{% endfor %}${rest}`;

test.each([
  ["a loop of many rounds", "{% for i in range(1000000000) %}x{% endfor %}", /a range of 1000000000 numbers/],
  [
    "loops in loops",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    /too many steps/,
  ],
  [
    "a loop that computes",
    "{% for a in range(99999) %}{% for b in range(99) %}{% set c = a * b %}{% endfor %}{% endfor %}",
    /too many steps/,
  ],
  ["a text that doubles", grown(64, "{{ n.s }}"), /a value of size/],
  [
    "a list that doubles",
    "{% set n = namespace(s=[1]) %}{% for i in range(64) %}{% set n.s = n.s + n.s %}{% endfor %}",
    /a value of size/,
  ],
  [
    "a list that holds itself twice",
    "{% set n = namespace(s=[1]) %}{% for i in range(64) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
    /a value of size/,
  ],
  [
    "lists in lists",
    "{% set n = namespace(s=[1]) %}{% for i in range(999) %}{% set n.s = [n.s] %}{% endfor %}{{ n.s }}",
    /lists in more than 100 lists/,
  ],
  [
    "searching over and over",
    grown(16, "{% for i in range(60000) %}{{ 'y' in n.s }}{% endfor %}"),
    /too many steps/,
  ],
  ["replacing by a filter", grown(12, "{{ n.s | replace('x', n.s) }}"), /replace would give/],
  [
    "replacing by a block",
    grown(12, "{% filter replace('x', n.s) %}{{ n.s }}{% endfilter %}"),
    /replace would give/,
  ],
  ["replacing by a method", grown(12, "{% set f = n.s.replace %}{{ f('x', n.s) }}"), /replace would give/],
  ["joining", grown(12, "{{ range(999) | join(n.s) }}"), /join would give/],
  ["indenting", "{{ 'a\nb' | indent(400000000) }}", /indent would give/],
  ["indenting JSON", "{{ [1, 2] | tojson(indent=400000000) }}", /tojson would give/],
  ["a source that is far too long", "x".repeat(70_000), /70000 characters/],
  ["a long run of spaces", `a${" ".repeat(1001)}b`, /more than 1000 spaces/],
  ["brackets in brackets", `{{ ${"(".repeat(20_000)}1${")".repeat(20_000)} }}`, /./],
])("%s is refused", (_, source, message) => {
  expect(() => render(source)).toThrow(message);
});

test("what templates do every day is not", () => {
  const content = "a line of text\n".repeat(20_000);
  const messages = Array.from({ length: 200 }, (_, i) => ({
    role: i % 2 ? "assistant" : "user",
    content: i === 7 ? content : `m${i}`,
  }));
  const source = `{% for m in messages if m.content %}{{ m.role | upper }}:{{ m.content.split('x')[0] | replace('line', 'longer line') | trim }}
{% endfor %}{{ messages | map(attribute='role') | join(', ') }}{{ messages[:2] | tojson(indent=2) }}
{% filter upper %}abc{% endfilter %}{{ [1, 2] | join(separator='-') }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{{ 'abcabc'.replace('b', 'BB') }}{{ 'abcabc' | replace('b', 'BB', count=1) }}{{ range(5, 1, -2) }}{{ strftime_now('%Y') }}`;
  const text = render(source, { messages });
  expect(text).toContain("a longer line of te");
  expect(text).toContain("ABC1-2100");
  expect(text).toMatch(/aBBcaBBcaBBcabc\[5, 3\]20\d\d$/);
});
