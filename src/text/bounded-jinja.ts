/**
 * @file Runs a Jinja template that nobody vouches for. Templates come from model files and are programs: they may loop for
 * hours, or double a text until memory is full, which would end the process. Here each has steps, sizes and depths that it
 * may use, in proportion to the conversation, and is refused beyond them.
 */

import { Environment, Interpreter, Template } from "@huggingface/jinja";

/** A value of the library: a text, a number, a list, a mapping, a function, and so on. */
interface Value {
  readonly type: string;
  readonly value: unknown;
  readonly builtins?: ReadonlyMap<string, Value>;
}

/** A node of a parsed template, with the parts that are looked at here. */
interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly args?: readonly Node[];
  readonly argument?: Node;
  readonly body?: readonly Node[];
  readonly callee?: Node;
  readonly filter?: Node;
  readonly iterable?: Node;
  readonly lhs?: Node;
  readonly object?: Node;
  readonly operand?: Node;
}

type Scope = InstanceType<typeof Environment>;
type Call = (args: readonly Value[], scope: Scope) => Value;

/** The library's class; its declarations do not resolve under "nodenext". */
const Base = Interpreter as unknown as new (
  scope: Scope,
) => {
  readonly global: Scope;
  run(program: unknown): Value;
  evaluate(node: Node | undefined, scope: Scope): Value;
};

/** Published templates are up to 30,000 characters long. */
const MOST_SOURCE = 1 << 16;
/** The library looks at every end of a run of spaces from every place in it. */
const MOST_SPACES = 1000;
/** Characters of a text, or items of a list with all that is in them; 16 times the conversation on top. */
const MOST_SIZE = 1 << 20;
/** Evaluations, of which published templates take some hundred a message; 16 times the conversation on top. */
const MOST_STEPS = 1 << 21;
const MOST_DEPTH = 100;
/** A round of a loop costs as much as so many evaluations, and so many characters or items cost as much as one. */
const LOOP_STEPS = 16;
const STEP_LENGTH = 16;

/** Parses a template. Throws what the library throws, and RangeError for one that is far too long. */
export function parseTemplate(source: string): Template {
  if (source.length > MOST_SOURCE) {
    throw new RangeError(`it has ${source.length} characters; ${MOST_SOURCE} at most are supported`);
  }
  if (new RegExp(`\\s{${MOST_SPACES + 1}}`).test(source)) {
    throw new RangeError(`it has more than ${MOST_SPACES} spaces or empty lines in a row`);
  }
  return new Template(source);
}

/** The text of a template with `variables`. Throws what the library throws, and RangeError beyond the limits. */
export function renderTemplate(template: Template, variables: Readonly<Record<string, unknown>>): string {
  const interpreter = new BoundedInterpreter(JSON.stringify(variables).length);
  for (const [name, value] of Object.entries({ ...globals, ...variables })) {
    interpreter.global.set(name, value);
  }
  return String(interpreter.run(template.parsed).value);
}

const date = new Template("{{ strftime_now(format) }}");
const globals = {
  ...{ true: true, false: false, none: null, True: true, False: false, None: null },
  raise_exception(message: string) {
    throw new Error(message);
  },
  strftime_now: (format: string) => date.render({ format }),
  range(start: number, stop?: number, step = 1) {
    const [from, to] = stop === undefined ? [0, start] : [start, stop];
    const length = Math.max(0, Math.ceil((to - from) / step));
    if (!(length <= MOST_SIZE)) throw new RangeError(`a range of ${length} numbers`);
    return Array.from({ length }, (_, i) => from + i * step);
  },
};

/** An operand that has been evaluated, in the place of its node. */
class Done implements Node {
  readonly type = "Done";
  readonly done: Value;
  constructor(done: Value) {
    this.done = done;
  }
}

interface Measure {
  readonly size: number;
  /** Lists in lists. */
  readonly depth: number;
}

class BoundedInterpreter extends Base {
  readonly #most: number;
  #steps: number;
  /** Of lists and mappings, which never change once they are made. */
  readonly #measured = new WeakMap<Value, Measure>();

  constructor(size: number) {
    super(new Environment());
    this.#most = MOST_SIZE + 16 * size;
    this.#steps = MOST_STEPS + 16 * size;
  }

  override evaluate(node: Node | undefined, scope: Scope): Value {
    if (node instanceof Done) return node.done;
    this.#spend(1);
    const ready = node && this.#prepare(node, scope);
    let value = super.evaluate(ready, scope);
    if (ready?.object instanceof Done) value = this.#method(ready.object.done, value);
    const { size, depth } = this.#measure(value, MOST_DEPTH);
    if (size > this.#most) throw new RangeError(`a value of size ${size}; ${this.#most} is the most`);
    if (depth > MOST_DEPTH) throw new RangeError(`lists in more than ${MOST_DEPTH} lists`);
    this.#spend(lengthOf(value) / STEP_LENGTH);
    return value;
  }

  #spend(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) throw new RangeError("it takes too many steps");
  }

  /** The node with those operands evaluated whose size decides what the rest costs. */
  #prepare(node: Node, scope: Scope): Node {
    const done = (part: Node | undefined) => new Done(this.evaluate(part, scope));
    switch (node.type) {
      case "For": {
        const { iterable } = node;
        const select = iterable!.type === "SelectExpression";
        const items = done(select ? iterable!.lhs : iterable);
        this.#spend(LOOP_STEPS * lengthOf(items.done));
        return { ...node, iterable: select ? { ...iterable!, lhs: items } : items };
      }
      case "MemberExpression":
        return { ...node, object: done(node.object) };
      case "FilterStatement":
        return this.#prepareFilter(done({ type: "Program", body: node.body! }), node.filter!, done);
      case "FilterExpression":
        return this.#prepareFilter(done(node.operand), node.filter!, done);
      default:
        return node;
    }
  }

  #prepareFilter(operand: Done, filter: Node, done: (part: Node | undefined) => Done): Node {
    if (filter.type !== "CallExpression") return { type: "FilterExpression", operand, filter };
    const values: Value[] = [];
    const note = (part: Node) => {
      const evaluated = done(part);
      values.push(evaluated.done);
      return evaluated;
    };
    const args = filter.args!.map((arg): Node => {
      // Some filters ask for literals.
      if (arg.type.endsWith("Literal")) {
        note(arg);
        return arg;
      }
      if (arg.argument) return { ...arg, argument: note(arg.argument) };
      if (arg.type === "KeywordArgumentExpression") return { ...arg, value: note(arg.value as Node) };
      return note(arg);
    });
    this.#checkGrowth(String(filter.callee?.value), operand.done, values);
    return { type: "FilterExpression", operand, filter: { ...filter, args } };
  }

  /** What a member of `object` is: replacing, the one method that makes a text longer, with a check. */
  #method(object: Value, member: Value): Value {
    if (member.type !== "FunctionValue" || member !== object.builtins?.get("replace")) return member;
    const Method = member.constructor as new (call: Call) => Value;
    return new Method((args, scope) => {
      this.#checkGrowth("replace", object, args);
      return (member.value as Call)(args, scope);
    });
  }

  /** Some filters give as much as a text times an argument. */
  #checkGrowth(filter: string, operand: Value, args: readonly Value[]): void {
    const sizes = args.map(({ value }, i) =>
      typeof value === "number" ? Math.abs(value) : this.#measure(args[i]!, MOST_DEPTH).size,
    );
    let growth = 0;
    if (filter === "replace") growth = (sizes[1] ?? 0) / Math.max(1, sizes[0] ?? 0);
    if (filter === "join" || filter === "indent" || filter === "tojson") growth = Math.max(0, ...sizes);
    const size = (this.#measure(operand, MOST_DEPTH).size + 1) * growth;
    if (size > this.#most) throw new RangeError(`${filter} would give a text of size ${Math.round(size)}`);
  }

  #measure(value: Value, deepest: number): Measure {
    const content = value.value;
    if (typeof content === "string") return { size: content.length, depth: 0 };
    if (!Array.isArray(content) && !(content instanceof Map)) return { size: 1, depth: 0 };
    const known = this.#measured.get(value);
    if (known) return known;
    let size = 1;
    let depth = 0;
    for (const part of content.values() as Iterable<Value>) {
      if (deepest === 0) return { size, depth: Number.POSITIVE_INFINITY };
      const inner = this.#measure(part, deepest - 1);
      size += inner.size;
      depth = Math.max(depth, 1 + inner.depth);
    }
    // A namespace is the one thing that changes.
    if (value.type !== "NamespaceValue") this.#measured.set(value, { size, depth });
    return { size, depth };
  }
}

/** Characters of a text, items of a list or mapping; 1 for everything else. */
function lengthOf({ value }: Value): number {
  if (value instanceof Map) return value.size;
  return typeof value === "string" || Array.isArray(value) ? value.length : 1;
}
