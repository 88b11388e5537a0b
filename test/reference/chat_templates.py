"""Writes test/fixtures/chat-templates.json: chat templates, conversations, and the texts that transformers makes of them.

    python test/reference/chat_templates.py                   (needs transformers, jinja2; see requirements.txt)
    python test/reference/chat_templates.py FILE... OUT       published templates (tokenizer_config.json files) instead of ours

The templates are written for this test. Each has the shape, and uses the features of Jinja, that the published templates
of its family do; the conversations are those that the family accepts and one that it refuses.
"""

import json
import os
import sys

TARGET = os.path.join(os.path.dirname(__file__), "..", "fixtures", "chat-templates.json")

TEMPLATES = {
    "llama-2": """{% if messages[0]['role'] == 'system' %}{% set turns = messages[1:] %}{% set rules = messages[0]['content'] %}{% else %}{% set turns = messages %}{% set rules = false %}{% endif %}
{%- for message in turns %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('after a user comes the assistant, and the other way round') }}{% endif %}
{%- if loop.index0 == 0 and rules != false %}{% set content = '<<RULES>>\\n' + rules + '\\n<</RULES>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}
{%- if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "llama-3": """{{- bos_token }}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if not today is defined %}
    {%- if strftime_now is defined %}
        {%- set today = strftime_now('%d %b %Y') | length %}
    {%- else %}
        {%- set today = 0 %}
    {%- endif %}
{%- endif %}
{%- if messages[0].role == 'system' %}
    {%- set rules = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set rules = '' %}
{%- endif %}
{{- '<|head|>system<|/head|>\\n\\n' }}
{{- 'Date has ' ~ today ~ ' characters\\n' }}
{%- if tools is not none %}
    {{- 'Tools: ' + tools | tojson }}
{%- endif %}
{{- rules + '<|eot|>' }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|head|>' + message['role'] + '<|/head|>\\n\\n' + message['content'] | trim + '<|eot|>' }}
    {%- elif message.role == 'tool' %}
        {{- '<|head|>tool<|/head|>\\n\\n' }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content | tojson + '<|eot|>' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|/head|>\\n\\n' }}
{%- endif %}
""",
    "mistral": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if message.role != "tool" and not (message.tool_calls is defined and message.tool_calls is not none) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must take turns") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST]" + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST]" + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- message["content"] | trim + eos_token }}
    {%- else %}
        {{- raise_exception("only user and assistant, and one system message in front") }}
    {%- endif %}
{%- endfor %}
{{- user_messages | length }}""",
    "qwen": """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(open=true, last=messages | length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if ns.open and message.role == "user" and message.content is string and not (message.content.startswith('<result>') and message.content.endswith('</result>')) %}
        {%- set ns.open = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if loop.first and message.role == 'system' %}{% continue %}{% endif %}
    {%- if message.role == "user" or message.role == "system" %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<result>\\n' + message.content + '\\n</result>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}""",
    "gemma": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set prefix = messages[0]['content'] + '

' -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("roles take turns") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}{%- set role = "model" -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}{%- if item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}{%- endfor -%}
    {%- else -%}
        {{ raise_exception("neither text nor parts") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
""",
    "phi-3": """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'user' %}{{'<|user|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>
' + message['content'] + '<|end|>
'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}""",
    "features": """{%- macro turn(role, text='none') -%}
<{{ role | upper }}>{{ text | replace('e', '3') }}</{{ role }}>
{%- endmacro -%}
{% for message in messages if message.role != 'tool' -%}
    {%- if loop.index > 3 %}{% break %}{% endif -%}
    {{ turn(message.role, message.content) }}
    {{- loop.index ~ '/' ~ loop.length ~ (' first' if loop.first else '') ~ (' last' if loop.last else ', ') }}
{%- else -%}
nothing
{%- endfor %}
{%- set seen = messages | map(attribute='role') | unique | join('+') %}
{{ seen }} {{ {'a': [1, 2.5, none, true], 'b': 'é"<>&\\''} | tojson }} {{ [1, 2] | tojson(indent=2) }}
{{ 'yes' if 'x' in 'xyz' and not missing is defined else 'no' }} {{ 7 // 2 }} {{ 7 % 3 }} {{ messages | length }} {{ messages[-1]['content'][:3] | upper }}
{% filter trim %}   kept   {% endfilter %}|{{ '%s-%d' | format('a', 3) if false else 'a' }}""",
}  # fmt: skip

SYSTEM = {"role": "system", "content": "  Be brief; say \"no\" often.\n"}
TALK = [
    {"role": "user", "content": " Why is the sky blue? <b>木</b> 🌱\n"},
    {"role": "assistant", "content": "<think>\nHm, light.\n</think>\n\nIt scatters. "},
    {"role": "user", "content": "{{ not.a.template }} {% raw %}"},
]
CONVERSATIONS = [
    TALK[:1],
    TALK,
    [SYSTEM, *TALK],
    [SYSTEM, *TALK[:2]],
    [TALK[0], TALK[0]],
    [TALK[0], {"role": "assistant", "content": "I look."}, {"role": "tool", "content": "rain\n"}, {"role": "tool", "content": '{"a": "é"}'}],
]  # fmt: skip


def render(template, messages, add_generation_prompt, tokens):
    """The text, or the message of the template's own refusal."""
    from jinja2.exceptions import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        texts, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=add_generation_prompt, **tokens)
        return {"text": texts[0]}
    except TemplateError as error:
        return {"refused": str(error)}


def cases(template, tokens):
    return [
        {"messages": messages, "addGenerationPrompt": prompt, **render(template, messages, prompt, tokens)}
        for messages in CONVERSATIONS
        for prompt in (True, False)
    ]


def main(files, target):
    templates = TEMPLATES
    if files:
        configs = {file: json.load(open(file)) for file in files}
        templates = {file: config["chat_template"] for file, config in configs.items() if "chat_template" in config}
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    result = {name: {"template": template, "cases": cases(template, tokens)} for name, template in templates.items()}
    with open(target, "w") as out:
        json.dump(result, out, ensure_ascii=False, indent=1)
    for name, entry in result.items():
        print(f"{name}: {len(entry['cases'])} conversations, {sum('refused' in case for case in entry['cases'])} refused")


if __name__ == "__main__":
    main(sys.argv[1:-1], sys.argv[-1] if len(sys.argv) > 1 else TARGET)
