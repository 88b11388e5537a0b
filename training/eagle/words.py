"""Lists of our own that requests are drawn from."""

TOPICS = """
volcanoes; the water cycle; black holes; photosynthesis; the history of bread; how planes fly; coral reefs; electric cars; the Roman roads; chess openings; beekeeping;
the printing press; tides; earthquakes; solar panels; sleep; the human heart; antibiotics; vaccines; the immune system; inflation; compound interest; supply and demand;
the stock market; budgeting for students; job interviews; public speaking; time management; learning a language; playing the guitar; watercolour painting; photography at
night; bird watching; gardening in small spaces; compost; baking without eggs; regional soups; coffee roasting; tea ceremonies; cheese making; road safety; cycling in
cities; long-distance running; yoga; swimming; mountain climbing; first aid; sailing; knots; lighthouses; bridges; skyscrapers; tunnels; steam engines; railways; clocks;
calendars; maps; compasses; telescopes; microscopes; lasers; magnets; batteries; nuclear power; wind turbines; recycling; plastics; glass; steel; paper; silk; cotton; wool;
dyes; perfume; soap; salt; sugar; chocolate; rice; potatoes; apples; bananas; olive oil; honey; mushrooms; ferns; cacti; oak trees; rainforests; deserts; glaciers; rivers;
lakes; islands; caves; fossils; dinosaurs; whales; octopuses; bats; owls; penguins; wolves; ants; butterflies; spiders; horses; dogs and their training; cats; elephants; the moon;
Mars; comets; the sun; galaxies; gravity; relativity; atoms; the periodic table; acids and bases; enzymes; DNA; evolution; genetics; bacteria; viruses; prime numbers; probability;
fractions; geometry; logarithms; statistics; sorting algorithms; hash tables; recursion; databases; operating systems; the internet; encryption; passwords; spam filters; machine
learning; search engines; version control; unit tests; open source software; video games; typography; film music; jazz; opera; ballet; theatre; poetry; haiku; novels; fairy tales; myths
of the sea; pirates; knights; castles; pyramids; the silk road; explorers of the poles; trade winds; the invention of money; postal services; newspapers; radio; television; elections; courts;
constitutions; human rights; volunteering; charities; friendship; honesty; courage; patience; loneliness; stress; habits; memory; dreams; optical illusions; colour blindness; left-handedness;
twins; ageing; healthy breakfasts; vitamins; dental care; back pain; allergies; headaches; travelling by train; packing light; camping; hostels; airports; festivals; weddings; birthdays; gifts;
moving house; renting a flat; repairing a bicycle; fixing a leaking tap; painting a room; insulating a house; saving water; keeping bees in cities; remote work; meetings; writing emails; négociation;
leadership; small businesses; marketing; customer service; farmers' markets; second-hand clothes; museums; libraries; schools; universities; kindergartens; homework; exams; school uniforms
""".replace("\n", " ").replace("négociation", "negotiation").strip().split("; ")

PEOPLE = "a child of ten; a beginner; a student; a busy manager; an expert; a tourist; a farmer; a nurse; a teacher; a retired engineer; my grandmother; a new colleague".split("; ")
STYLES = "formal; friendly; funny; serious; poetic; plain; enthusiastic; sceptical; very short; detailed".split("; ")
LANGUAGES = ["French", "German", "Spanish", "Italian", "Portuguese", "Dutch"]
FORMS = "poem; short story; dialogue; speech; letter; blog post; product description; news report; diary entry; song; riddle; fable; interview; advertisement; toast; apology".split("; ")

ASKS = """
What is the most important thing to know about {topic}?; Explain {topic} to {person}.; Explain {topic} in simple words.; How did {topic} change over time?; Why do people care about {topic}?;
Give me five facts about {topic}.; List three advantages and three disadvantages of {topic}.; What are common mistakes with {topic}?; Compare {topic} and {topic2}.; What do {topic} and {topic2} have in
common?; Write a {style} {form} about {topic}.; Write a {form} about {topic} and {topic2}.; Write a {style} paragraph about {topic} for {person}.; Write an outline for an essay about {topic}.; Write an
introduction to an article about {topic}.; Give me a quiz of four questions about {topic}, with answers.; I am {person_is} and want to learn about {topic}. Where should I start?; Plan a lesson about {topic} for {person}.;
What would a world without {topic} look like?; Give advice to {person} who is interested in {topic}.; Suggest ten titles for a book about {topic}.; Define {topic} in one sentence.; Is it true that {topic} matter
less than {topic2}? Give your opinion.; Make a table of {topic}, {topic2} and {topic3} with one remark each.; Describe a picture that shows {topic}.; Write a conversation between {person} and {person2} about {topic}.;
Write an email to {person} about {topic}.; Tell me a joke about {topic}.; How can I explain the link between {topic} and {topic2}?; Give step-by-step instructions for a project about {topic}.; Imagine you are {person_is}. What would
you say about {topic}?; Who should I ask about {topic}, and what should I ask?; What questions would {person} have about {topic}?; Argue for and against {topic}.; What is {topic}?; Which comes first, {topic} or {topic2}?
""".replace("\n", " ").strip().split("; ")

FUNCTIONS = """
is_prime | n | whether n is a prime number; factorial | n | the factorial of n; fibonacci | n | the first n Fibonacci numbers; reverse_words | text | the words of text in reverse order; count_vowels | text | how many vowels text has;
is_palindrome | text | whether text reads the same backwards; gcd | a, b | the greatest common divisor of a and b; flatten | items | a flat list of all values in nested lists; unique | items | items without repetitions, in order;
most_common | items | the value that occurs most often; second_largest | numbers | the second largest of numbers; running_mean | numbers, size | means over windows of size; merge_sorted | a, b | one sorted list of two sorted lists;
binary_search | items, x | the index of x in a sorted list, or -1; bubble_sort | items | a sorted copy of items; transpose | matrix | rows and columns swapped; to_roman | n | n as a Roman numeral; from_binary | text | the number that a
binary text stands for; caesar | text, shift | text with every letter shifted; anagrams | a, b | whether two words have the same letters; word_lengths | text | a dictionary from each word to its length; group_by_first | words | words by
their first letter; invert | mapping | keys and values swapped; chunks | items, size | lists of at most size items; rotate | items, k | items rotated by k places; balanced | text | whether all brackets are closed in the right order;
sum_digits | n | the sum of the digits of n; digits | n | the digits of n in a list; collatz | n | the steps from n to 1; pairs_with_sum | numbers, total | all pairs whose sum is total; longest_word | text | the longest word of text;
title_case | text | text with a capital at the start of each word; median | numbers | the median of numbers; variance | numbers | the variance of numbers; dot | a, b | the dot product of two vectors; power_set | items | all subsets of items;
permutations | items | all orders of items; celsius | f | f degrees Fahrenheit in Celsius; leap_year | year | whether year is a leap year; days_between | a, b | the days between two dates; parse_csv | line | the fields of a line;
count_lines | path | how many lines a file has; read_json | path | what a JSON file holds; retry | action, times | the result of action, tried at most so often; memoise | function | a function that remembers its results; clamp | x, low, high | x
within bounds; nth_prime | n | the nth prime number; intersect | a, b | values that both lists have; remove_nones | items | items without None; max_depth | tree | how deep a tree of lists is; spiral | matrix | values in spiral order;
compress | text | text with runs replaced by counts; hamming | a, b | in how many places two texts differ; triangle | n | n rows of Pascal's triangle; perfect_square | n | whether n is a square; lcm | a, b | the least common multiple;
bigrams | text | all pairs of neighbouring words; histogram | numbers | how often each number occurs; normalise | numbers | numbers scaled to a sum of one; cumulative | numbers | running totals; zip_longest | a, b | pairs, filled with None;
evens | numbers | the even numbers; product | numbers | the product of all numbers; shift_case | text | upper case made lower and the other way round; strip_tags | html | html without its tags; slug | text | text for use in an address;
closest | numbers, x | the number nearest to x; overlap | a, b | whether two intervals overlap; area | points | the area of a polygon; distance | p, q | the distance of two points; mirror | grid | the grid mirrored left to right
""".replace("\n", " ").strip().split("; ")

CODE_ASKS = r"""
Write a {language} function {name}({args}) that returns {result}.;; Write a {language} function that returns {result}. Explain how it works.;; Complete this function:\n\n```python\ndef {name}({args}):\n    QQQReturn {result}.QQQ\n```;;
def {name}({args}):\n    QQQ Return {result}. QQQ\n;; How do I get {result} in {language}?;; Write unit tests for a {language} function {name}({args}) that returns {result}.;; Here is what I need in {language}: {name}({args}) gives {result}. Show the code and an
example.;; What is the time complexity of a function that returns {result}? Show code in {language}.;; Implement the following Python function. Only give the code.\n\ndef {name}({args}):\n    QQQ\n    Returns {result}.\n    QQQ
""".replace("\n", " ").replace("\\n", "\n").replace("QQQ", '"' * 3).strip(" ").split(";; ")
CODE_LANGUAGES = ["Python", "Python", "Python", "JavaScript", "TypeScript", "Java", "C", "Go", "Rust"]

SUMS = """
{n} buys {a} {things} for {b} dollars each and pays with {big} dollars. How much change does {n} get?; A train goes {b} miles an hour for {a} hours and then {c} miles more. How far does it go?; {n} has {big} {things}. {n} gives {a} to each of {b}
friends. How many are left?; A box holds {a} {things}. How many boxes are needed for {big} {things}?; {n} reads {a} pages a day for {b} days and then {c} pages on the last day. How many pages are that?; {n} earns {b} dollars an hour and works {a} hours
a day, five days a week. How much does {n} earn in {c} weeks?; There are {big} pupils in a school. {p}% of them walk to school, the others take the bus. How many take the bus?; A shirt costs {big} dollars. It is reduced by {p}%. What does it cost now?; {n} is {a} years
older than {m}. Together they are {big} years old. How old is {m}?; {n} saves {a} dollars in the first week and {b} dollars more in every week after that. How much does {n} have after {c} weeks?; A garden is {a} metres long and {b} metres wide. A path of
one metre goes around it. What is the area of the path?; {n} bakes {big} {things}, sells half of them in the morning and {a} in the afternoon. How many are left?; {m} has {a} times as many {things} as {n}, who has {b}. {n} finds {c} more. How many do they have
together?; Two pipes fill a tank in {a} and {b} hours. How long do they need together?; What is {a} times {b} plus {c}?; Solve for x: {a}x + {b} = {big}.; A recipe for {a} people needs {b} cups of flour. How many cups are needed for {c} people?; {n} walks {a} kilometres to
school and back every day. How far is that in {b} days?; A farmer has {a} cows and {b} chickens. How many legs are there?; The mean of three numbers is {b}. Two of them are {a} and {c}. What is the third?
""".replace("\n", " ").strip().split("; ")
THINGS = "apples; pencils; books; tickets; marbles; cookies; stickers; cards; plants; bottles; eggs; chairs".split("; ")
SUM_ENDS = ["", "", " Think step by step.", " Show your work.", " Explain your reasoning.", " Give only the final answer."]

ON_A_TEXT = r"""
Summarize the following text:\n\n{text}|Summarize this in one sentence:\n\n{text}|{text}\n\nSummarize the above.|{text}\n\nTL;DR:|Give the key points of this text as a list:\n\n{text}|Write a summary of this article in three
sentences.\n\nArticle: {text}|What is the main idea of the following passage?\n\n{text}|Rewrite this text in a {style} style:\n\n{text}|Rewrite the following for {person}:\n\n{text}|Correct all mistakes in this text:\n\n{text}|Make this
text shorter:\n\n{text}|Continue this text:\n\n{text}|Write a title for this text:\n\n{text}|Which questions does this text answer?\n\n{text}|Translate the following text to {language}:\n\n{text}|Translate to {language}: {text}|
Repeat this text word for word:\n\n{text}|Turn this text into a list of steps:\n\n{text}|Extract all names and numbers from this text:\n\n{text}|Do you agree with this? Explain why.\n\n{text}|Write three questions about this text and answer
them:\n\n{text}|Change this text so that it is about {topic}:\n\n{text}|Is the tone of this text positive or negative?\n\n{text}|Turn this into a {form}:\n\n{text}|Explain this to {person}:\n\n{text}
""".replace("\n", " ").replace("\\n", "\n").strip().split("|")
FROM_A_LANGUAGE = [
    "Translate the following {language} text to English:\n\n{text}", "Translate {language} to English: {text}", "What does this mean in English?\n\n{text}", "Translate this to English:\n\n{text}"
]  # fmt: skip
IN_A_LANGUAGE = ["Write in {language} about {topic}.", "Write three sentences in {language} about {topic}.", "Describe {topic} in {language}.", "Say something about {topic} and {topic2} in {language}."]
ON_TEXTS = r"""
Answer the question with the help of these documents.\n\n{documents}\n\nQuestion: {question}|{documents}\n\nUse only the text above to answer: {question}|Context:\n{documents}\n\nQuestion: {question}\nAnswer:|{question}\n\nHere is what
I found:\n\n{documents}|Give an answer to the question using the passages below.\nQuestion: {question}\n\n{documents}\n\nAnswer:
""".replace("\n", " ").replace("\\n", "\n").strip().split("|")
AFTERWARDS = """
Tell me more.; Can you make that shorter?; Rewrite your answer for {person}.; Give an example.; Why?; Are you sure? Check it again.; Now write it as a {form}.; Rewrite it in a {style} style.; What about {topic}?; Summarize your answer in one sentence.; Translate your
answer to {language}.; List the main points.; Can you explain the second point?; What are the limits of this?; Rewrite your last answer without using the letter e at the start of a sentence.; Do the same for {topic}.; Thanks! Which questions should I ask next?
""".replace("\n", " ").strip().split("; ")

ASKS_A_QUESTION = [
    "Write a short question that this text answers:\n\n{text}", "{text}\n\nWrite one question about a fact in the text above.", "Ask three short questions about facts in this text, one a line:\n\n{text}",
    "Read this and write a quiz question about it:\n\n{text}", "Write a question that begins with who, when or where and is answered here:\n\n{text}",
]  # fmt: skip
ON_PASSAGES = r"""
Answer from the documents.\n\n{documents}\n\n{question}|Read these documents and answer the question behind them.\n\n{documents}\n\nQuestion: {question}\nAnswer:|{documents}\n\n{question}|Question: {question}\nUse what you find here:\n{documents}|
Here are some search results.\n\n{documents}\n\nWhat do they say to this: {question}|Give a short answer to the question, from the context.\n\nContext: {documents}\n\nQuestion: {question}
""".replace("\n", " ").replace("\\n", "\n").strip().split("|")
ON_NAMES = {
    "person": "Who was {name}?; When was {name} born?; Where did {name} live?; What is {name} famous for?; When did {name} die?; What did {name} do?; Where was {name} born and raised?; Who was {name} married to?; What did {name} write?".split("; "),
    "place": "Where is {name}?; What is {name} known for?; How many people live in {name}?; Which country is {name} in?; When was {name} founded?; What is the weather like in {name}?; What is the capital of {name}?; Who discovered {name}?".split("; "),
    "work": "What is {name}?; Who wrote {name}?; What is {name} about?; When did {name} come out?; Where does {name} come from?".split("; "),
    "event": "What was {name}?; When was {name}?; Who won {name}?; Where did {name} take place?; Why did {name} happen?".split("; "),
    "thing": "What is {name}?; What does {name} mean?; How does {name} work?; Where does the name {name} come from?; Who invented {name}?; When was {name} first used?; What is the difference between {name} and others of its kind?; What are the parts of {name}?".split("; "),
}  # fmt: skip
EDITS = """
Add a docstring to this code. Return the whole code.; Add type hints to this code.; Add comments to this code.; Rename {name} to {new}.; Refactor this code so that it is easier to read.; Fix the bug in this code.; Is there a bug in this code? Give the corrected
code.; Explain what this code does.; Write unit tests for {function}.; Translate this code to {language}.; Handle errors in the input of {function}.; Make {function} print what it does.; Add a parameter {new} to {function}, with a default, and use it.; Make this code
shorter.; Make this code faster.; Remove all comments and docstrings.; Turn this into a class named {new}.; Change {function} so that it also returns {new}.; Use a list comprehension where it fits.; Replace {name} by a constant at the top.; Check that {name} is not empty and
raise an error otherwise.; What is the time complexity of this code?; Rewrite this code with early returns.; Write a function that calls {function}, and keep this code as it is.; Update {function} so that it ignores case.; Sort the result of {function} before it is returned.
""".replace("\n", " ").strip().split("; ")
NEW_NAMES = "result; value; count; verbose; total; limit; Counter; items_left; default; helper; cache; Reader; name; index; path; text; size; first; options; strict".split("; ")
