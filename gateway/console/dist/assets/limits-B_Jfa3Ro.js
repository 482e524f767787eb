import{r as e}from"./rolldown-runtime-XKyaHtl9.js";import{a as t,c as n,l as r,o as i,p as a,t as o}from"./jsx-runtime-BhzG6WC1.js";import{C as s,E as c,F as l,N as u,P as d,R as f,S as p,T as m,U as h,Y as g,a as _,b as v,ct as y,n as b,o as x,r as S,t as C,v as ee,w,x as T,y as E,z as D}from"./ui-bbcBLmru.js";import{a as O,i as k,r as A}from"./live-BPpS0-Uq.js";import{t as te}from"./console-Cycho7Ix.js";import{t as j}from"./graphql-C-gECOzk.js";var M=e(a(),1),N={fields:`_fields_1veco_1`,rules:`_rules_1veco_6`,match:`_match_1veco_11`,left:`_left_1veco_15`,bad:`_bad_1veco_23`,find:`_find_1veco_26`},P={s:`a second`,m:`a minute`,h:`an hour`,d:`a day`};function F(e){let[n=``,r=``]=e.split(`/`);return P[r]?`${t(Number(n))} ${P[r]}`:e}var I=e=>`${F(e.rate)}${e.rate.startsWith(`${e.burst}/`)?``:`, ${t(e.burst)} at once`}`,ne=[[`principal`,`A principal`],[`tenant`,`A tenant`],[`role`,`A role`],[`tool`,`A tool`],[`source`,`A source`],[`global`,`All calls together`]],L=({per:e,key:t})=>e===`global`?`all calls together`:t===``?`no ${e}`:`${e} ${i(t,300)}`,R=({per:e,key:t})=>e===`global`?`All calls together`:i(t||`No ${e}`,300),z=e=>`${e.unlimited?`no limit`:I(e)}, until ${r(e.expires)}, set by ${i(e.createdBy,300)}${e.reason?`: ${i(e.reason,300)}`:``}`;function B(e){return[[`roles`,e.roles],[`tools`,e.tools],[`sources`,e.sources],[`actions`,e.actions]].filter(([,e])=>e.length>0).map(([e,t])=>`${e} ${i(t.join(`, `),300)}`).join(`; `)}var V=o();function H({limits:e,wanted:n,onFind:r,onEdit:i}){let{buckets:a,totalCount:o}=e;return(0,V.jsx)(x,{title:`Who is near a limit`,actions:(0,V.jsx)(W,{value:n,onChange:r}),children:a.length===0?(0,V.jsx)(T,{title:n?`No limit of this key has been used lately`:`Nobody is near a limit`,children:n?(0,V.jsx)(y,{onPress:()=>r(``),children:`Show everybody`}):`Who has used some of a limit stands here until the limit is whole again.`}):(0,V.jsxs)(V.Fragment,{children:[(0,V.jsx)(S,{items:a,label:`Who is near a limit`,what:`limits`,id:e=>`${e.rule} ${e.per} ${e.key}`,children:e=>(0,V.jsx)(U,{of:e,onEdit:i})}),(0,V.jsxs)(`p`,{className:`muted`,children:[o>a.length&&`The emptiest ${t(a.length)} of ${t(o)} are shown: give a key to see the others. `,`As the node that answers counted when this was read; each node counts for itself.`]})]})})}function U({of:e,onEdit:r}){let a=L(e),o=e.burst>0?e.tokens/e.burst:0;return(0,V.jsx)(b,{title:R(e),badge:e.per!==`global`&&(0,V.jsx)(v,{children:e.per}),what:(0,V.jsxs)(`span`,{className:N.left,children:[t(e.tokens),` of `,t(e.burst),` left`,(0,V.jsx)(`meter`,{min:0,max:1,low:.2,high:.5,optimum:1,value:o,"aria-label":`Left for ${a}`})]}),when:(0,V.jsxs)(`span`,{className:`row`,children:[e.rule===`override`?(0,V.jsx)(v,{tone:`accent`,children:`override`}):`rule ${i(e.rule,100)}`,e.retryMs>0&&(0,V.jsxs)(v,{tone:`bad`,children:[`next call in `,n(e.retryMs)]})]}),actions:(0,V.jsxs)(V.Fragment,{children:[e.per===`principal`&&(0,V.jsx)(h,{className:`ui-button`,href:`/audit?principal=${encodeURIComponent(e.key)}`,"aria-label":`Records: ${a}`,children:`Records`}),r&&(0,V.jsx)(y,{"aria-label":`Override: ${a}`,onPress:()=>r({per:e.per,key:e.key}),children:`Override`})]})})}function W({value:e,onChange:t}){let[n,r]=(0,M.useState)(e);(0,M.useEffect)(()=>r(e),[e]);let i=()=>n.trim()!==e&&t(n.trim());return(0,V.jsx)(`search`,{children:(0,V.jsxs)(`form`,{className:N.find,onSubmit:e=>{e.preventDefault(),i()},children:[(0,V.jsx)(l,{label:`Key`,value:n,onChange:r,onBlur:i,maxLength:512,placeholder:`Whole id or name`}),e&&(0,V.jsx)(y,{onPress:()=>t(``),children:`Show everybody`})]})})}var G=j(`
  query Limits($key: String) {
    admin {
      limits(first: 100, key: $key) {
        revision
        totalCount
        rules {
          name
          per
          roles
          tools
          sources
          actions
          rate
          burst
          admitted
          refused
        }
        overrides {
          per
          key
          rate
          burst
          unlimited
          expires
          created
          createdBy
          reason
        }
        buckets {
          rule
          per
          key
          tokens
          burst
          retryMs
        }
      }
    }
  }
`),K=j(`
  mutation SetLimitOverride(
    $per: String!
    $key: String
    $rate: String
    $burst: SafeInt
    $ttlSeconds: SafeInt!
    $reason: String
    $revision: SafeInt
  ) {
    setLimitOverride(
      per: $per
      key: $key
      rate: $rate
      burst: $burst
      ttlSeconds: $ttlSeconds
      reason: $reason
      revision: $revision
    ) {
      revision
    }
  }
`),q=j(`
  mutation RemoveLimitOverride($per: String!, $key: String, $revision: SafeInt) {
    removeLimitOverride(per: $per, key: $key, revision: $revision)
  }
`),J=(e,t)=>e.overrides.find(e=>e.per===t.per&&e.key===t.key),Y=5;function X(){let e=A();return async(t,n,r)=>{let i=t;for(let a=0;;a++){let{error:o}=await r(i.revision);if(!o)return{done:!0};if(!c(o)||a>=Y)return{done:!1,error:o};let{data:s,error:l}=await e.query(G,{key:null},{requestPolicy:`network-only`}).toPromise();if(!s?.admin.limits)return{done:!1,error:l??o};if(i=s.admin.limits,JSON.stringify(J(i,n))!==JSON.stringify(J(t,n)))return{done:!1,theirs:i}}}}var Z=3600,re=[[String(Z),`An hour`],[String(8*Z),`8 hours`],[String(24*Z),`A day`],[String(168*Z),`A week`],[String(720*Z),`30 days`],[String(8760*Z),`A year`]],ie=[[`s`,`a second`],[`m`,`a minute`],[`h`,`an hour`],[`d`,`a day`]],ae={principal:`The whole id: issuer|kind|subject.`,tenant:`Its name; empty is callers of no tenant.`,role:`Its name, as in the policy. All who hold it share the limit.`,tool:`Its whole name, such as crm.search.`,source:`Its name, as in the configuration.`};function oe(e,t){let n=J(e,{per:t.per??``,key:t.key??``}),[r=``,i=`m`]=(n?.rate??``).split(`/`);return{per:t.per??`principal`,key:t.key??``,unlimited:n?.unlimited?`yes`:``,calls:r,unit:i||`m`,burst:n&&!n.unlimited&&String(n.burst)!==r?String(n.burst):``,ttl:String(Z),reason:n?.reason??``}}var Q=e=>/^[1-9]\d{0,14}$/.test(e.trim())?Number(e.trim()):null;function $(e){let[t,n]=(0,M.useState)(e.limits),[r,i]=(0,M.useState)(!1),[a,o]=(0,M.useState)(),{form:s,setForm:c,field:f,choice:p}=E(oe(t,e.of)),[{fetching:m},h]=k(K),g=X(),_={per:s.per,key:s.per===`global`?``:s.key.trim()},v=J(t,_),y=t.rules.filter(e=>e.per===s.per),b=Q(s.calls),x=s.burst.trim()===``?null:Q(s.burst),S=(s.per===`global`||s.per===`tenant`||_.key!==``)&&(s.unlimited||b!==null&&(s.burst.trim()===``||x!==null));return(0,V.jsx)(D,{title:`Override a limit`,isOpen:!0,onClose:e.onClose,children:(0,V.jsxs)(ee,{error:a,what:`The limit is as it was`,submit:r?`Set mine instead`:`Set`,isDisabled:!S||m,onSubmit:async()=>{o(void 0),i(!1);let r=await g(t,_,e=>h({per:_.per,key:_.key||null,rate:s.unlimited?null:`${b}/${s.unit}`,burst:s.unlimited?null:x,ttlSeconds:Number(s.ttl),reason:s.reason.trim()||null,revision:e}));r.done?(e.onDone(),e.onClose()):(o(r.error),r.theirs&&(n(r.theirs),i(!0),e.onDone()))},onCancel:e.onClose,children:[(0,V.jsxs)(`div`,{className:N.fields,children:[(0,V.jsx)(d,{label:`Whose`,...p(`per`),options:ne}),s.per!==`global`&&(0,V.jsx)(l,{label:`Key`,isRequired:s.per!==`tenant`,...f(`key`),hint:ae[s.per]})]}),(0,V.jsx)(u,{isSelected:s.unlimited!==``,onChange:e=>c(t=>({...t,unlimited:e?`yes`:``})),children:`No limit`}),!s.unlimited&&(0,V.jsxs)(`div`,{className:N.fields,children:[(0,V.jsx)(l,{label:`Calls`,isRequired:!0,inputMode:`numeric`,...f(`calls`),error:s.calls!==``&&b===null?`A whole number, 1 or more.`:void 0}),(0,V.jsx)(d,{label:`In`,...p(`unit`),options:ie}),(0,V.jsx)(l,{label:`At once`,inputMode:`numeric`,...f(`burst`),hint:`How many may come in a burst; empty is as many as above.`,error:s.burst.trim()!==``&&x===null?`A whole number, 1 or more.`:void 0})]}),(0,V.jsxs)(`div`,{className:N.fields,children:[(0,V.jsx)(d,{label:`For`,...p(`ttl`),options:re}),(0,V.jsx)(l,{label:`Reason`,...f(`reason`),hint:`For whoever sees it later.`})]}),(0,V.jsx)(`p`,{className:`muted`,children:y.length===0?`No rule counts by ${s.per===`global`?`all calls together`:s.per}: this adds a limit.`:`It takes the place of ${y.slice(0,5).map(e=>`${e.name} (${F(e.rate)})`).join(`, `)}${y.length>5?` and others`:``}, for this key alone.`}),r?(0,V.jsxs)(w,{tone:`bad`,children:[`Nothing was set: somebody else has changed this limit since you read it.`,` `,v?`It is now ${z(v)}.`:`They have removed the override.`,` What you have typed is still here.`]}):v&&(0,V.jsxs)(w,{tone:`warn`,children:[`There is an override already: `,z(v),`. Yours takes its place.`]})]})})}function se(e){let{overrides:n}=e.limits;return(0,V.jsx)(x,{title:`Overrides: ${t(n.length)}`,children:n.length===0?(0,V.jsxs)(T,{title:`No override is in force`,children:[`The rules count every call.`,e.onEdit&&` Override a limit to let somebody do more, or less, for a while.`]}):(0,V.jsx)(S,{items:n,label:`Overrides`,what:`overrides`,id:e=>`${e.per} ${e.key}`,children:t=>(0,V.jsx)(ce,{...e,of:t})})})}function ce({of:e,limits:t,onEdit:n,onDone:a}){let[,o]=k(q),s=X(),c=L(e);return(0,V.jsx)(b,{title:R(e),badge:e.per!==`global`&&(0,V.jsx)(v,{children:e.per}),what:e.unlimited?(0,V.jsx)(v,{tone:`warn`,children:`no limit`}):I(e),when:(0,V.jsxs)(V.Fragment,{children:[(0,V.jsxs)(`span`,{children:[`until `,r(e.expires),e.reason&&`: ${i(e.reason,300)}`]}),(0,V.jsxs)(`span`,{className:`muted`,children:[`set `,r(e.created),` by `,i(e.createdBy,300)]})]}),actions:n&&(0,V.jsxs)(V.Fragment,{children:[(0,V.jsx)(y,{"aria-label":`Change: ${c}`,onPress:()=>n(e),children:`Change`}),(0,V.jsx)(f,{label:`Remove`,title:`Remove the override of ${c}`,confirm:`Remove it`,act:async()=>{let n=await s(t,e,t=>o({per:e.per,key:e.key||null,revision:t}));if(a(),n.done)return;let r=n.theirs&&J(n.theirs,e);if(!(n.theirs?!r:m(n.error).some(e=>e.code===`NOT_FOUND`)))return r?(0,V.jsxs)(w,{tone:`bad`,children:[`It was not removed: somebody else has changed it since you read it. It is now `,z(r),`. To remove that, do so again.`]}):(0,V.jsx)(p,{error:n.error,what:`It was not removed`})},children:(0,V.jsx)(`p`,{children:`The rules count these calls again, on every node at once.`})})]})})}function le({rules:e}){return(0,V.jsxs)(x,{title:`Rules: ${t(e.length)}`,children:[e.length===0?(0,V.jsxs)(T,{title:`No rate is configured`,children:[`Calls come as fast as they like. Write `,(0,V.jsx)(`code`,{children:`{name: everybody, per: principal, rate: 600/m}`}),` under`,` `,(0,V.jsx)(`code`,{children:`limits.rates`}),` in the configuration; a change is taken up without a restart.`]}):(0,V.jsx)(`div`,{className:N.rules,children:(0,V.jsx)(C,{label:`Rules`,head:(0,V.jsxs)(`tr`,{children:[(0,V.jsx)(`th`,{scope:`col`,children:`Rule`}),(0,V.jsx)(`th`,{scope:`col`,children:`A limit for each`}),(0,V.jsx)(`th`,{scope:`col`,children:`Counts`}),(0,V.jsx)(`th`,{scope:`col`,className:`number`,children:`Calls`}),(0,V.jsx)(`th`,{scope:`col`,className:`number`,children:`At once`}),(0,V.jsx)(`th`,{scope:`col`,className:`number`,children:`Admitted`}),(0,V.jsx)(`th`,{scope:`col`,className:`number`,children:`Refused`})]}),children:e.map(e=>(0,V.jsxs)(`tr`,{children:[(0,V.jsx)(`th`,{scope:`row`,children:i(e.name,100)}),(0,V.jsx)(`td`,{children:e.per===`global`?`all together`:e.per}),(0,V.jsx)(`td`,{className:N.match,children:B(e)||`everything`}),(0,V.jsx)(`td`,{className:`number nowrap`,children:F(e.rate)}),(0,V.jsx)(`td`,{className:`number`,children:t(e.burst)}),(0,V.jsx)(`td`,{className:`number`,children:t(e.admitted)}),(0,V.jsx)(`td`,{className:`number ${e.refused>0?N.bad:`muted`}`,children:t(e.refused)})]},e.name))})}),(0,V.jsx)(`p`,{className:`muted`,children:`Admitted and refused are those of the node that answers, since it started.`})]})}function ue(){let[e,t]=g(),n=e.get(`key`)??``,[{data:r,error:i,fetching:a},o]=O({query:G,variables:{key:n||null},requestPolicy:`network-only`}),c=()=>o({requestPolicy:`network-only`}),[l,u]=(0,M.useState)(),d=te()(`limits`,`admin`),f=r?.admin.limits,m=d&&f?e=>u({of:e,limits:f}):void 0;return(0,V.jsxs)(_,{title:`Limits`,hint:`How many calls may come in a time, and what overrides that for a while.`,actions:(0,V.jsxs)(V.Fragment,{children:[(0,V.jsx)(y,{onPress:c,children:`Read again`}),m&&(0,V.jsx)(y,{className:`react-aria-Button primary`,onPress:()=>m({}),children:`Override a limit`})]}),children:[(0,V.jsx)(p,{error:i}),!f&&a&&(0,V.jsx)(s,{what:`limits`}),f&&(0,V.jsxs)(V.Fragment,{children:[(0,V.jsx)(se,{limits:f,onEdit:m,onDone:c}),(0,V.jsx)(H,{limits:f,wanted:n,onFind:e=>t(e?{key:e}:{},{replace:!0}),onEdit:m}),(0,V.jsx)(le,{rules:f.rules})]}),l&&(0,V.jsx)($,{...l,onClose:()=>u(void 0),onDone:c})]})}export{ue as default};