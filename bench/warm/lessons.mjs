/** @file What `bench/warm` lets a model learn from: twenty requests of everyday use, none of them out of a benchmark. */

const NOTES = `The allotment society met on Tuesday. Nine members came. The pump by the east gate leaks again; Hanna will ask two firms for an offer and report in May.
Plot 14 has been free since February, and three people are on the list for it. The treasurer said that the rent for the shed goes up from 180 to 210 a year. It was agreed to
hold the plant sale on the second Saturday of May, from ten to two, and to ask the school for tables. Olaf wants a bench under the old pear tree; most were for it, and he may
spend up to 90. The next meeting is on the third of June.`;

const CODE = `function total(items) {
  let sum = 0;
  for (let i = 0; i < items.length; i++) {
    sum = sum + items[i].price * items[i].count;
  }
  return sum;
}`;

export const lessons = [
  "How do I keep basil alive on a windowsill in winter?",
  "Write a friendly e-mail to my landlord, asking for the kitchen tap to be repaired this week.",
  "Explain to a ten-year-old why the moon changes its shape.",
  "What is the difference between a virus and a bacterium?",
  "Give me a plan for three days in Lisbon with two children.",
  "My bicycle's chain keeps coming off. What can I check?",
  `Summarise these notes in three sentences.\n\n${NOTES}`,
  `Which decisions were made, and who has to do what?\n\n${NOTES}`,
  `Rewrite this function with reduce, and explain each step.\n\n\`\`\`js\n${CODE}\n\`\`\``,
  `Add a discount in percent as a second parameter.\n\n\`\`\`js\n${CODE}\n\`\`\``,
  "Write a Python function that reads a CSV file and returns the mean of its second column.",
  "Write an SQL query for the five customers who spent most last year.",
  "A train leaves at 9:40 and takes 2 hours and 35 minutes. It is 12 minutes late. When does it arrive? Show your steps.",
  "A recipe for 4 people needs 300 g of rice. How much for 7 people? Explain the calculation.",
  "Translate into English: Morgen fahren wir mit dem Rad an den See, wenn es nicht regnet.",
  "Translate into French: The shop opens at nine and closes at half past six.",
  "Write the first page of a story about a lighthouse keeper who finds a letter.",
  "Which arguments are there for and against a four-day week?",
  "Make a list of ten questions for an interview with a beekeeper.",
  "What should I look at when I buy a used laptop? Answer with a list.",
];
